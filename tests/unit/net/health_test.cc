#include "net/health.h"

#include <gtest/gtest.h>

#include <condition_variable>

#include "tests/unit/net/namespaces.h"
#include "tests/unit/net/policy.h"

namespace strata::net {
namespace {

using std::chrono::milliseconds;
using Targets = std::set<TargetAddress>;

const TargetAddress kOne = {Address4("10.90.1.2"), 80};
const TargetAddress kTwo = {Address4("10.90.1.3"), 80};

class TargetHealthTest : public ::testing::Test {
 protected:
  // One check of each, as they say.
  bool Round(const std::map<TargetAddress, bool>& took) {
    now_ += milliseconds(2000);
    bool changed = false;
    for (const TargetAddress& target : health_.Start(now_, 100)) {
      changed |= health_.Note(target, took.at(target), now_);
    }
    return changed;
  }
  TargetHealth::Clock::time_point now_;
  TargetHealth health_{HealthOptions()};
};

TEST_F(TargetHealthTest, ATargetIsDownAfterThreeFailuresInARowAndUpAfterTwoSuccesses) {
  health_.Watch({kOne, kTwo}, now_);
  EXPECT_FALSE(Round({{kOne, false}, {kTwo, true}}));
  EXPECT_FALSE(Round({{kOne, false}, {kTwo, true}}));
  EXPECT_FALSE(Round({{kOne, true}, {kTwo, true}})) << "not in a row";
  EXPECT_FALSE(Round({{kOne, false}, {kTwo, true}}));
  EXPECT_FALSE(Round({{kOne, false}, {kTwo, true}}));
  EXPECT_TRUE(health_.Down().empty());
  EXPECT_TRUE(Round({{kOne, false}, {kTwo, true}}));
  EXPECT_EQ(health_.Down(), Targets{kOne});
  EXPECT_FALSE(Round({{kOne, true}, {kTwo, true}}));
  EXPECT_TRUE(Round({{kOne, true}, {kTwo, true}}));
  EXPECT_TRUE(health_.Down().empty());
}

TEST_F(TargetHealthTest, ChecksAreDueAfterTheEndOfTheLastAndOneAtATime) {
  health_.Watch({kOne, kTwo}, now_);
  EXPECT_EQ(health_.Start(now_, 1).size(), 1u);
  EXPECT_EQ(health_.Start(now_, 100), std::vector{kTwo});
  EXPECT_TRUE(health_.Start(now_ + std::chrono::hours(1), 100).empty()) << "both are under check";
  EXPECT_EQ(health_.Next(), TargetHealth::Clock::time_point::max());
  now_ += milliseconds(300);
  (void)health_.Note(kTwo, true, now_);
  health_.NoteNothing(kOne, now_ + milliseconds(1));
  EXPECT_EQ(health_.Next(), now_ + milliseconds(2000));
  EXPECT_TRUE(health_.Start(now_ + milliseconds(1999), 100).empty());
  EXPECT_EQ(health_.Start(now_ + milliseconds(2000), 100), std::vector{kTwo});
}

TEST_F(TargetHealthTest, WhoStaysKeepsItsStateAndWhoComesBackIsNew) {
  health_.Watch({kOne, kTwo}, now_);
  for (int i = 0; i < 3; ++i) (void)Round({{kOne, false}, {kTwo, false}});
  ASSERT_EQ(health_.Down(), (Targets{kOne, kTwo}));
  health_.Watch({kOne}, now_);
  EXPECT_EQ(health_.Down(), Targets{kOne});
  EXPECT_FALSE(health_.Note(kTwo, true, now_)) << "its last check ends later";
  health_.Watch({kOne, kTwo}, now_);
  EXPECT_EQ(health_.Down(), Targets{kOne});
}

TEST(HealthTargets, AreOfTcpAndAreMarked) {
  DesiredNetwork desired = MakePolicy();
  desired.bridges[0].balanced[1].protocol = Protocol::kUdp;
  EXPECT_EQ(TargetsOf(desired), (Targets{kOne, kTwo}));
  MarkDown({kTwo}, &desired);
  EXPECT_TRUE(desired.bridges[0].balanced[0].targets[0].up);
  EXPECT_FALSE(desired.bridges[0].balanced[0].targets[1].up);
  EXPECT_TRUE(desired.bridges[0].balanced[1].targets[0].up) << "of UDP: nobody knows";
}

TEST(HealthChecker, SeesAServerThatStopsAndOneThatComesBack) {
  const NetNamespace space;
  std::mutex mutex;
  std::condition_variable changed;
  auto checker = space.In([&] {
    return HealthChecker::Open({milliseconds(5), milliseconds(100), 2, 3},
                               [&] {
                                 const std::lock_guard lock(mutex);
                                 changed.notify_all();
                               })
        .value();
  });
  const auto wait = [&](const Targets& down) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, kAnswer, [&] { return checker->Down() == down; });
  };
  // One that listens, one that does not, one that is silent, one to which there is no way.
  const NetNamespace silent_space;
  Join(space, "a0", "198.51.100.1/24", silent_space, "b0", "");
  space.Ip({"neigh", "add", "198.51.100.2", "lladdr", "02:00:00:00:00:01", "dev", "a0"});
  const TargetAddress silent = {Address4("198.51.100.2"), 80};
  const TargetAddress server_address = {Address4("127.0.0.1"), 80};
  const TargetAddress nobody = {Address4("127.0.0.1"), 81};
  const TargetAddress unreachable = {Address4("203.0.113.1"), 80};
  UniqueFd server = OpenServer(space, Protocol::kTcp, 80);
  checker->Watch({server_address, nobody, silent, unreachable});
  EXPECT_TRUE(wait({nobody, silent, unreachable}));
  server.reset();
  EXPECT_TRUE(wait({server_address, nobody, silent, unreachable}));
  server = OpenServer(space, Protocol::kTcp, 80);
  EXPECT_TRUE(wait({nobody, silent, unreachable}));
  checker->Watch({server_address});
  EXPECT_TRUE(checker->Down().empty());
}

}  // namespace
}  // namespace strata::net
