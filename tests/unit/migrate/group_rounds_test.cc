// Copies of several containers as of one moment.
#include "migrate/group_rounds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>

namespace strata::migrate {
namespace {

class Journal {
 public:
  void Add(const std::string& entry) {
    const std::lock_guard lock(mutex_);
    entries_.push_back(entry);
  }
  std::vector<std::string> Take() {
    const std::lock_guard lock(mutex_);
    return std::move(entries_);
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> entries_;
};

class FakeMember final : public GroupMember {
 public:
  FakeMember(Journal& journal, std::string name, std::string fails = "")
      : journal_(journal), name_(std::move(name)), fails_(std::move(fails)) {}
  Status Copy() override { return Do("copy"); }
  Status Freeze() override {
    frozen = true;
    return Do("freeze");
  }
  Status Take() override {
    RETURN_IF_ERROR(Do("take"));
    frozen = false;
    return Ok();
  }
  void Release() override { frozen = false; }

  std::atomic<bool> frozen = false;

 private:
  Status Do(const std::string& step) {
    journal_.Add(step + " " + name_);
    if (step == fails_) return Error(Code::kUnavailable, name_ + " cannot " + step);
    return Ok();
  }
  Journal& journal_;
  const std::string name_;
  const std::string fails_;
};

size_t FirstOf(const std::vector<std::string>& entries, const std::string& step) {
  size_t i = 0;
  while (i < entries.size() && !entries[i].starts_with(step)) ++i;
  return i;
}
size_t LastOf(const std::vector<std::string>& entries, const std::string& step) {
  size_t last = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].starts_with(step)) last = i;
  }
  return last;
}

TEST(GroupRoundsTest, NothingIsTakenBeforeAllStandStill) {
  for (int round = 0; round < 50; ++round) {
    Journal journal;
    std::vector<std::unique_ptr<FakeMember>> owned;
    std::vector<GroupMember*> members;
    for (const char* name : {"a", "b", "c", "d"}) {
      owned.push_back(std::make_unique<FakeMember>(journal, name));
      members.push_back(owned.back().get());
    }
    ASSERT_TRUE(RunGroupRounds(members, CancelToken()).ok());
    const auto entries = journal.Take();
    ASSERT_EQ(entries.size(), 12u);
    EXPECT_LT(LastOf(entries, "copy"), FirstOf(entries, "freeze"));
    EXPECT_LT(LastOf(entries, "freeze"), FirstOf(entries, "take"));
    for (const auto& member : owned) EXPECT_FALSE(member->frozen);
  }
}

TEST(GroupRoundsTest, WhateverFailsAllRunAgain) {
  for (const char* step : {"copy", "freeze", "take"}) {
    Journal journal;
    FakeMember a(journal, "a");
    FakeMember b(journal, "b", step);
    FakeMember c(journal, "c");
    const auto times = RunGroupRounds({&a, &b, &c}, CancelToken());
    ASSERT_FALSE(times.ok());
    EXPECT_NE(times.error().message().find("b cannot"), std::string::npos);
    EXPECT_FALSE(a.frozen || b.frozen || c.frozen) << step;
    if (std::string(step) != "take") {
      const auto entries = journal.Take();
      EXPECT_EQ(FirstOf(entries, "take"), entries.size());
    }
  }
}

TEST(GroupRoundsTest, ACancelledOneFreezesNothing) {
  Journal journal;
  FakeMember a(journal, "a");
  CancelToken cancel;
  cancel.Cancel();
  const auto times = RunGroupRounds({&a}, cancel);
  ASSERT_FALSE(times.ok());
  EXPECT_EQ(times.error().code(), Code::kCancelled);
  const auto entries = journal.Take();
  EXPECT_EQ(FirstOf(entries, "freeze"), entries.size());
}

}  // namespace
}  // namespace strata::migrate
