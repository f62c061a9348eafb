// Whose orders a worker follows, and when it is silent.
#include "vclusterd/remote/obedience.h"

#include <gtest/gtest.h>

namespace strata::vcluster {
namespace {

using std::chrono::seconds;

class ObedienceTest : public ::testing::Test {
 protected:
  Obedience::Options Options() {
    Obedience::Options options;
    options.now = [this] { return now_; };
    options.masters = {"m1", "m2"};
    options.fence_after = seconds(30);
    options.heard = Obedience::Clock::time_point(std::chrono::hours(1));
    options.first_hello = 100;
    return options;
  }
  Code Order(uint64_t epoch, uint64_t hello, const std::string& master = "m1") {
    const auto permit = obedience_.CheckOrder(master, epoch, hello);
    return permit.ok() ? Code::kAlreadyExists : permit.error().code();
  }

  Obedience::Clock::time_point now_{std::chrono::hours(1)};
  static constexpr Code kTaken = Code::kAlreadyExists;
  const Obedience::Clock::time_point start_{std::chrono::hours(1)};
  Obedience obedience_{Options()};
};

TEST_F(ObedienceTest, OnlyTheLatestLeaderOfTheMastersIsObeyed) {
  const uint64_t hello = obedience_.BeginHello(start_);
  EXPECT_EQ(Order(4, hello), kTaken);
  EXPECT_EQ(Order(5, hello, "m2"), kTaken);
  EXPECT_EQ(Order(4, hello), Code::kFailedPrecondition);
  EXPECT_EQ(Order(6, hello, "h9"), Code::kPermissionDenied);
}

TEST_F(ObedienceTest, AnOrderThatAnswersAnEarlierHelloIsLate) {
  const uint64_t first = obedience_.BeginHello(start_);
  ASSERT_TRUE(obedience_.HelloTaken(first));
  const uint64_t second = obedience_.BeginHello(start_ + seconds(1));
  EXPECT_EQ(Order(1, first), kTaken);   // The second is not answered yet…
  EXPECT_EQ(Order(1, second), kTaken);  // …or its answer is late.
  ASSERT_TRUE(obedience_.HelloTaken(second));
  EXPECT_EQ(Order(1, first), Code::kUnavailable);
  EXPECT_EQ(Order(1, second + 1), Code::kUnavailable);
}

TEST_F(ObedienceTest, NothingThatWasBegunBeforeSilenceEndsIt) {
  const uint64_t before = obedience_.BeginHello(start_);
  ASSERT_TRUE(obedience_.HelloTaken(before));
  obedience_.ReportTaken(start_ + seconds(2));
  EXPECT_EQ(obedience_.SilentFrom(), start_ + seconds(32));
  EXPECT_FALSE(obedience_.FallSilent(start_ + seconds(31)));
  const uint64_t late = obedience_.BeginHello(start_ + seconds(31));
  EXPECT_TRUE(obedience_.FallSilent(start_ + seconds(32)));
  EXPECT_FALSE(obedience_.FallSilent(start_ + seconds(40)));  // Once.
  obedience_.ReportTaken(start_ + seconds(31));
  EXPECT_FALSE(obedience_.HelloTaken(late));
  EXPECT_EQ(Order(1, before), Code::kUnavailable);
  EXPECT_EQ(Order(1, late), Code::kUnavailable);
  EXPECT_TRUE(obedience_.IsSilent());
  // An answer to any of the hellos since ends it, as of when that was begun; one that is too old
  // does not: nodes would go on that nobody pauses any more.
  const uint64_t after = obedience_.BeginHello(start_ + seconds(50));
  (void)obedience_.BeginHello(start_ + seconds(55));
  now_ = start_ + seconds(80);
  EXPECT_EQ(Order(1, after), Code::kUnavailable);
  EXPECT_TRUE(obedience_.IsSilent());
  now_ = start_ + seconds(79);
  EXPECT_EQ(Order(1, after), kTaken);
  EXPECT_FALSE(obedience_.IsSilent());
  // It can begin again, though the hello's own answer never comes.
  EXPECT_EQ(obedience_.SilentFrom(), start_ + seconds(80));
  EXPECT_TRUE(obedience_.FallSilent(start_ + seconds(80)));
}

TEST_F(ObedienceTest, WhoDoesNotKnowWhenAMasterWasHeardBeginsInSilence) {
  Obedience::Options options = Options();
  options.heard.reset();
  Obedience begun(options);
  EXPECT_TRUE(begun.IsSilent());
  EXPECT_FALSE(begun.CheckOrder("m1", 1, 100).ok());
  EXPECT_TRUE(begun.HelloTaken(begun.BeginHello(start_)));
  EXPECT_FALSE(begun.IsSilent());
}

TEST_F(ObedienceTest, WhatIsHeardIsKeptForTheNextProcess) {
  Obedience::Options options = Options();
  std::vector<Obedience::Clock::time_point> kept;
  options.keep = [&](Obedience::Clock::time_point heard) { kept.push_back(heard); };
  Obedience keeps(options);
  keeps.ReportTaken(start_ + seconds(2));
  keeps.ReportTaken(start_ + seconds(1));
  EXPECT_EQ(kept, std::vector{start_ + seconds(2)});
}

}  // namespace
}  // namespace strata::vcluster
