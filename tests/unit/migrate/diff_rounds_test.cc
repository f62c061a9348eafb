#include "migrate/diff_rounds.h"

#include <gtest/gtest.h>

namespace strata::migrate {
namespace {

// Remembers whether it runs, and what happened.
class FakeContainer final : public FreezableContainer {
 public:
  Status Freeze() override {
    if (freeze_fails) return Error(Code::kDeadlineExceeded, "does not freeze");
    frozen = true;
    return Ok();
  }
  Status Thaw() override {
    frozen = false;
    ++thaws;
    return Ok();
  }
  bool freeze_fails = false;
  bool frozen = false;
  int thaws = 0;
};

TEST(DiffRounds, TheFirstRoundRunsWhileTheContainerDoesAndTheSecondWhileItIsFrozen) {
  FakeContainer container;
  bool first_frozen = true;
  bool second_frozen = false;
  const auto times = RunDiffRounds(container, true,
                                   {[&]() -> Status {
                                      first_frozen = container.frozen;
                                      return Ok();
                                    },
                                    [&]() -> Status {
                                      second_frozen = container.frozen;
                                      return Ok();
                                    }});
  ASSERT_TRUE(times.ok());
  EXPECT_FALSE(first_frozen);
  EXPECT_TRUE(second_frozen);
  EXPECT_FALSE(container.frozen);
  EXPECT_GT(times->stall.count(), 0);
}

TEST(DiffRounds, AStoppedContainerIsNotFrozen) {
  FakeContainer container;
  const auto ok = [] { return Ok(); };
  const auto times = RunDiffRounds(container, false, {ok, ok});
  ASSERT_TRUE(times.ok());
  EXPECT_EQ(container.thaws, 0);
  EXPECT_EQ(times->stall.count(), 0);
}

TEST(DiffRounds, AFailureOfTheSecondRoundThaws) {
  FakeContainer container;
  const auto times =
      RunDiffRounds(container, true,
                    {[] { return Ok(); },
                     [] { return Status(Error(Code::kResourceExhausted, "disk is full")); }});
  ASSERT_FALSE(times.ok());
  EXPECT_EQ(times.error().message(), "disk is full");
  EXPECT_FALSE(container.frozen);
  EXPECT_EQ(container.thaws, 1);
}

TEST(DiffRounds, AFreezeThatFailsThawsWhatItMayHaveFrozen) {
  FakeContainer container;
  container.freeze_fails = true;
  bool second = false;
  const auto times = RunDiffRounds(container, true,
                                   {[] { return Ok(); },
                                    [&]() -> Status {
                                      second = true;
                                      return Ok();
                                    }});
  EXPECT_FALSE(times.ok());
  EXPECT_FALSE(second);
  EXPECT_EQ(container.thaws, 1);
}

TEST(DiffRounds, AFailureOfTheFirstRoundNeverFreezes) {
  FakeContainer container;
  const auto times =
      RunDiffRounds(container, true,
                    {[] { return Status(Error(Code::kCancelled, "stop")); }, [] { return Ok(); }});
  EXPECT_FALSE(times.ok());
  EXPECT_EQ(container.thaws, 0);
}

}  // namespace
}  // namespace strata::migrate
