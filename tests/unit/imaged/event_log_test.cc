// The event log: numbers, order, files that follow one another, and what a crash leaves.
#include "imaged/events/event_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "common/file_io.h"

namespace strata::imaged {
namespace {

using testing::ElementsAre;

class EventLogTest : public testing::Test {
 protected:
  void SetUp() override {
    auto created = TemporaryDirectory::Create("/var/tmp", "strata-events.");
    ASSERT_TRUE(created.ok());
    directory_.emplace(std::move(*created));
    Open({});
  }
  void Open(EventLog::Limits limits) {
    log_.reset();
    auto opened = EventLog::Open(directory_->path() + "/events", limits);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    log_ = std::move(*opened);
  }
  void Record(const std::string& image, const std::string& action = "share") {
    v1::Event event;
    event.set_action(action);
    event.set_image(image);
    log_->Record(std::move(event));
  }
  std::vector<std::string> Images(uint64_t after = 0, size_t max = 1000,
                                  const std::string& action = "") {
    std::vector<std::string> images;
    const auto events = log_->Latest(after, 0, max, [&](const v1::Event& event) {
      return action.empty() || event.action() == action;
    });
    EXPECT_TRUE(events.ok());
    for (const v1::Event& event : *events) {
      images.push_back(std::to_string(event.number()) + " " + event.image());
    }
    return images;
  }
  std::vector<std::string> Files() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_->path() + "/events")) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  std::optional<TemporaryDirectory> directory_;
  std::unique_ptr<EventLog> log_;
};

TEST_F(EventLogTest, EventsAreNumberedAndThereAfterARestart) {
  Record("a");
  Record("b", "tag");
  Open({});
  EXPECT_EQ(log_->last_number(), 2u);
  Record("c");
  EXPECT_THAT(Images(), ElementsAre("1 a", "2 b", "3 c"));
  EXPECT_THAT(Images(1), ElementsAre("2 b", "3 c"));
  EXPECT_THAT(Images(0, 2), ElementsAre("2 b", "3 c")) << "the latest ones";
  EXPECT_THAT(Images(0, 1000, "tag"), ElementsAre("2 b"));
}

TEST_F(EventLogTest, OldFilesGoAndNumbersGoOn) {
  Open({.file_bytes_max = 1, .files_max = 3});
  for (int i = 0; i < 5; ++i) Record(std::to_string(i));
  EXPECT_EQ(Files().size(), 3u);
  EXPECT_THAT(Images(), ElementsAre("3 2", "4 3", "5 4"));
  Open({.file_bytes_max = 1, .files_max = 3});
  Record("x");
  EXPECT_THAT(Images(), ElementsAre("4 3", "5 4", "6 x"));
}

TEST_F(EventLogTest, ALineThatACrashToreIsCutAndOthersStay) {
  Record("a");
  const std::string path = directory_->path() + "/events/" + Files()[0];
  const std::string whole = *ReadFile(path);
  for (const std::string& torn :
       {std::string("{\"number\":\"2\",\"ima"), std::string("{"), std::string(100, '\0')}) {
    ASSERT_TRUE(WriteFileAtomically(path, whole + torn, 0600).ok());
    Open({});
    EXPECT_EQ(log_->last_number(), 1u);
    EXPECT_EQ(*ReadFile(path), whole);
  }
  ASSERT_TRUE(WriteFileAtomically(path, whole + "no event\n", 0600).ok());
  Open({});
  Record("b");
  EXPECT_THAT(Images(), ElementsAre("1 a", "2 b"));
}

TEST_F(EventLogTest, WhatIsNotWrittenHasNoNumber) {
  Open({.file_bytes_max = 1, .files_max = 3});
  Record("a");
  // The next file cannot be made: a directory has its name.
  const std::string next = directory_->path() + "/events/events.00000000000000000002.jsonl";
  ASSERT_TRUE(MakeDirectories(next).ok());
  Record("lost");
  EXPECT_EQ(log_->last_number(), 1u);
  ASSERT_TRUE(RemoveTree(next).ok());
  Record("b");
  EXPECT_THAT(Images(), ElementsAre("1 a", "2 b"));
}

}  // namespace
}  // namespace strata::imaged
