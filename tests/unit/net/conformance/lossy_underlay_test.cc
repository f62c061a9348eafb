// A network of hosts that loses packets, by every driver: TCP gets through, tables converge, and
// nothing is mended that nobody has broken.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/net/conformance/world.h"
#include "tests/unit/net/traffic.h"

namespace strata::net {
namespace {

using ::testing::IsEmpty;
using Node = World::Node;

constexpr int kHosts = 3;
constexpr std::chrono::milliseconds kPatience(60'000);  // TCP doubles its own after every loss.
constexpr size_t kBytes = 1 << 20;

class LossyUnderlayTest : public ::testing::TestWithParam<Means> {
 protected:
  void SetUp() override {
    world_.AddNetwork(1);
    for (uint32_t index = 0; index < kHosts; ++index) {
      world_.AddNode({1, index}, static_cast<int>(index));
    }
    world_.Disturb();
    world_.Settle();
  }
  Connection Between(Node client, Node server, uint16_t port) const {
    return Connection(world_.SpaceOf(client), World::AddressOf(server), port,
                      world_.SpaceOf(server), port, kPatience);
  }
  // Hosts that have done their work have none, however often they look.
  void ExpectNothingIsMended() {
    for (int host = 0; host < kHosts; ++host) {
      const auto plan = world_.Plan(host);
      ASSERT_TRUE(plan.ok()) << plan.error().message();
      EXPECT_THAT(plan->changes, IsEmpty()) << "host " << host;
      const auto made = world_.Make(host);
      ASSERT_TRUE(made.ok()) << made.error().message();
      EXPECT_THAT(made->changes, IsEmpty()) << "host " << host;
      EXPECT_FALSE(made->mends) << "host " << host;
    }
  }

  World world_{GetParam(), kHosts};
};

TEST_P(LossyUnderlayTest, ManyBytesArriveAsTheyWereSent) {
  uint32_t repeated = 0;
  for (const auto& [from, to] : {std::pair(0u, 1u), std::pair(2u, 0u)}) {
    Connection connection = Between({1, from}, {1, to}, 5001);
    EXPECT_TRUE(connection.Carries(kBytes, kPatience)) << from << " to " << to;
    repeated += connection.Repeated();
    ExpectNothingIsMended();
  }
  EXPECT_GT(repeated, 0u) << "nothing was lost: this test sees nothing";
}

TEST_P(LossyUnderlayTest, NodesComeAndMoveAndKeepTheirConnections) {
  Connection connection = Between({1, 1}, {1, 0}, 5001);
  ASSERT_TRUE(connection.Works(kPatience));
  world_.AddNode({1, 9}, 1);
  world_.Settle();
  for (const int host : {2, 1, 0}) {
    world_.MoveNode({1, 0}, host);
    EXPECT_TRUE(connection.Works(kPatience)) << "to host " << host;
    ExpectNothingIsMended();
  }
  EXPECT_TRUE(Between({1, 9}, {1, 0}, 5002).Works(kPatience));
  EXPECT_TRUE(Between({1, 2}, {1, 9}, 5003).Works(kPatience));
  world_.RemoveNode({1, 9});
  world_.Settle();
  EXPECT_TRUE(connection.Works(kPatience));
  ExpectNothingIsMended();
}

INSTANTIATE_TEST_SUITE_P(Drivers, LossyUnderlayTest,
                         ::testing::Values(Means::kLinux, Means::kFastPath, Means::kOvsVxlan,
                                           Means::kOvsGre),
                         [](const auto& driver) { return NameOf(driver.param); });

}  // namespace
}  // namespace strata::net
