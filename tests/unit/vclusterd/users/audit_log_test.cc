// The audit log: what is asked of it, how long it remembers, and that refusals do not push the past
// out of it.
#include "vclusterd/users/audit_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <future>

#include "common/file_io.h"
#include "tests/unit/vclusterd/users/users_fixture.h"

namespace strata::vcluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using users::v1::AuditEvent;

AuditEvent Event(uint32_t uid, const std::string& operation, const std::string& object,
                 uint32_t owner) {
  AuditEvent event;
  event.set_uid(uid);
  event.set_user("u" + std::to_string(uid));
  event.set_source("192.0.2." + std::to_string(uid % 250));
  event.set_operation(operation);
  event.set_object(object);
  event.set_owner_uid(owner);
  event.set_owned(true);
  return event;
}

Error Refused() { return Error(Code::kPermissionDenied, "no"); }

class AuditLogTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_.emplace(std::move(*TemporaryDirectory::Create("/var/tmp", "strata-audit.")));
    Open(AuditLog::DefaultLimits());
  }
  void Open(EventLogLimits limits, AuditBounds bounds = {}) {
    log_.reset();
    auto opened = AuditLog::Open(directory_->path(), clock_.clock(), limits, bounds);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    log_ = std::move(*opened);
  }
  std::vector<AuditEvent> Events(const AuditQuery& query) {
    const auto found = log_->Find(query, 0);
    EXPECT_TRUE(found.ok());
    return found.ok() ? found->events : std::vector<AuditEvent>();
  }
  std::vector<std::string> Find(const AuditQuery& query) {
    std::vector<std::string> lines;
    for (const AuditEvent& event : Events(query)) {
      lines.push_back(event.user() + " " + event.operation() + " " + event.object() + " " +
                      event.outcome());
    }
    return lines;
  }

  FakeClock clock_;
  std::optional<TemporaryDirectory> directory_;
  std::unique_ptr<AuditLog> log_;
};

TEST_F(AuditLogTest, ChangesAndRefusalsAreFoundByUserObjectOperationAndTime) {
  const int64_t start = clock_.now_ms;
  log_->Record(Event(0, "user.create", "alice", 5), Ok());
  clock_.now_ms += kHourMs;
  log_->Record(Event(5, "vcluster.create", "alice/hpc", 5), Ok());
  log_->Record(Event(55, "vcluster.exec", "alice/hpc", 5), Refused());
  clock_.now_ms += kHourMs;
  log_->Record(Event(5, "vcluster.delete", "alice/hpc", 5), Ok());
  Open(AuditLog::DefaultLimits());
  EXPECT_THAT(Find({.uid = 5}),
              ElementsAre("u5 vcluster.create alice/hpc ok", "u5 vcluster.delete alice/hpc ok"));
  EXPECT_THAT(Find({.uid = 0}), ElementsAre("u0 user.create alice ok"));
  EXPECT_THAT(Find({.object = "alice"}), ElementsAre("u0 user.create alice ok"));
  EXPECT_THAT(Find({.operation = "vcluster.exec"}),
              ElementsAre("u55 vcluster.exec alice/hpc permission denied"));
  EXPECT_THAT(Find({.since_unix_ms = start + 1, .until_unix_ms = start + kHourMs}),
              ElementsAre("u5 vcluster.create alice/hpc ok",
                          "u55 vcluster.exec alice/hpc permission denied"));
  EXPECT_THAT(Find({.after = 3}), ElementsAre("u5 vcluster.delete alice/hpc ok"));
  EXPECT_THAT(Find({.last = 1}), ElementsAre("u5 vcluster.delete alice/hpc ok"));
}

TEST_F(AuditLogTest, AUserSeesWhatHeDidAndWhatWasDoneToHis) {
  log_->Record(Event(0, "user.lock", "bob", 6), Ok());
  log_->Record(Event(7, "vcluster.exec", "alice/hpc", 5), Ok());
  log_->Record(Event(55, "vcluster.exec", "alice/hpc", 5), Refused());
  AuditEvent stranger = Event(5, "user.sign-in", "alice", 5);
  stranger.clear_user();  // Nobody, yet.
  log_->Record(stranger, Refused());
  EXPECT_THAT(Find({.visible_to = 5}), ElementsAre("u7 vcluster.exec alice/hpc ok"));
  EXPECT_THAT(Find({.visible_to = 55}),
              ElementsAre("u55 vcluster.exec alice/hpc permission denied"));
  EXPECT_EQ(Find({}).size(), 4u);
}

TEST_F(AuditLogTest, TextOfStrangersIsDataAndIsFoundAgain) {
  const std::string evil = "x\"},{\"uid\":0}\n\xff";
  log_->Record(Event(5, "vcluster.create", evil, 5), Ok());
  log_->Record(Event(6, "vcluster.create", "b", 6), Ok());
  EXPECT_EQ(Find({}).size(), 2u);
  const auto events = Events({});
  EXPECT_EQ(events[0].object(), "x\"},{\"uid\":0}\\x0a\\xff");
  EXPECT_EQ(Find({.object = events[0].object()}).size(), 1u);
}

TEST_F(AuditLogTest, ManyRefusalsAreCountedInsteadOfWritten) {
  log_->Record(Event(1, "user.create", "first", 1), Ok());
  AuditEvent guess = Event(5, "user.sign-in", "alice", 5);
  for (int i = 0; i < 1000; ++i) log_->Record(guess, Refused());
  EXPECT_EQ(Find({}).size(), 61u);
  for (int i = 0; i < 10'000; ++i) {
    guess.set_source("10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250));
    log_->Record(guess, Refused());
  }
  EXPECT_EQ(Find({.last = 10'000}).size(), 601u);
  log_->Record(Event(2, "user.create", "second", 2), Ok());
  EXPECT_EQ(Find({.operation = "user.create"}).size(), 2u) << "what was done is always written";
  clock_.now_ms += kMinuteMs;
  log_->Record(guess, Refused());
  uint32_t left_out = 0;
  for (const AuditEvent& event : Events({.last = 10'000})) left_out += event.left_out();
  EXPECT_EQ(left_out, 11'000u - 600u);
}

TEST_F(AuditLogTest, WhatIsTooOldGoesByWholeFilesAndNumbersGoOn) {
  Open({.file_bytes_max = 4u << 20,
        .files_max = 64,
        .file_age_ms_max = 7 * kDayMs,
        .age_ms_max = 30 * kDayMs});
  for (int day = 0; day < 100; ++day) {
    log_->Record(Event(5, "day", std::to_string(day), 5), Ok());
    clock_.now_ms += kDayMs;
  }
  auto events = Events({});
  EXPECT_GE(events.front().time_unix_ms(), clock_.now_ms - 40 * kDayMs);
  EXPECT_LE(events.front().time_unix_ms(), clock_.now_ms - 30 * kDayMs);
  EXPECT_EQ(events.back().number(), 100u);
  Open({.file_bytes_max = 4u << 20,
        .files_max = 64,
        .file_age_ms_max = 7 * kDayMs,
        .age_ms_max = 10 * kDayMs});
  clock_.now_ms += 8 * kDayMs;
  log_->Record(Event(5, "day", "last", 5), Ok());
  events = Events({});
  EXPECT_GE(events.front().time_unix_ms(), clock_.now_ms - 20 * kDayMs) << "after a restart too";
  EXPECT_EQ(events.back().number(), 101u);
}

TEST_F(AuditLogTest, SizeIsBounded) {
  Open({.file_bytes_max = 1000, .files_max = 3});
  for (int i = 0; i < 100; ++i) log_->Record(Event(5, "x", std::to_string(i), 5), Ok());
  uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory_->path())) {
    bytes += entry.file_size();
  }
  EXPECT_LE(bytes, 3 * 1300u);
  EXPECT_THAT(Find({.last = 1}), ElementsAre("u5 x 99 ok"));
}

TEST_F(AuditLogTest, AQuestionReadsNoMoreThanItsBoundAndSaysWhereToGoOn) {
  for (const AuditBounds bounds :
       {AuditBounds{.read_bytes_max = 1500}, AuditBounds{.parsed_bytes_max = 1500}}) {
    Open({.file_bytes_max = 1000, .files_max = 100}, bounds);
    const uint64_t earlier = Events({.last = 1}).empty() ? 0 : Events({.last = 1})[0].number();
    for (int i = 0; i < 50; ++i) log_->Record(Event(5, "x", std::to_string(i), 5), Ok());
    std::vector<uint64_t> numbers;
    AuditQuery query{.after = earlier};
    int questions = 0;
    do {
      const auto found = log_->Find(query, 0);
      ASSERT_TRUE(found.ok());
      ASSERT_LT(found->events.size(), 25u) << "it read more than it may";
      for (auto event = found->events.rbegin(); event != found->events.rend(); ++event) {
        numbers.push_back(event->number());
      }
      query.before = found->reached;
    } while (query.before != 0 && ++questions < 50);
    ASSERT_EQ(numbers.size(), 50u) << "each is found, once";
    for (size_t i = 0; i < numbers.size(); ++i) EXPECT_EQ(numbers[i], earlier + 50 - i);
  }
}

TEST_F(AuditLogTest, SoManyQuestionsAreAnsweredAtATime) {
  Open({}, {.questions_max = 1});
  log_->Record(Event(5, "x", "y", 5), Ok());
  // A question is being answered as long as what it reads has no end.
  const std::string file = directory_->path() + "/events.00000000000000000001.jsonl";
  ASSERT_EQ(::unlink(file.c_str()), 0);
  ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
  const auto ask = [this](uint32_t asker) {
    return std::async(std::launch::async, [this, asker] { return log_->Find({}, asker); });
  };
  auto first = ask(1);
  UniqueFd writer;
  while (!writer.valid()) writer = UniqueFd(::open(file.c_str(), O_WRONLY | O_NONBLOCK));
  std::future<Result<AuditLog::Found>> others[] = {ask(1), ask(2)};
  for (auto& other : others) {
    EXPECT_EQ(other.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  }
  writer.reset();
  EXPECT_TRUE(first.get().ok());
  for (auto& other : others) {
    const auto refused = other.get();
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), Code::kResourceExhausted);
  }
  ASSERT_EQ(::unlink(file.c_str()), 0);
  EXPECT_TRUE(log_->Find({}, 1).ok()) << "its place is free again";
}

}  // namespace
}  // namespace strata::vcluster
