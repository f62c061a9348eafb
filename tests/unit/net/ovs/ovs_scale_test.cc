// How long a host with many Vclusters takes with Open vSwitch. It prints; what it demands is that a
// change touches what it is about.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>

#include "net/ovs/flows.h"
#include "tests/unit/net/ovs/ovs_host.h"

namespace strata::net {
namespace {

constexpr uint32_t kVclusters = 40;
constexpr uint32_t kRemotes = 4;

template <typename Work>
double Timed(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

class OvsScaleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    host_.JoinUnderlay(fabric_, "h0", "192.0.2.1/24");
    host_.Open({.patience = std::chrono::seconds(60)});
    for (uint32_t number = 1; number <= kVclusters; ++number) {
      Bridge& bridge = host_.AddBridge(number, number, "192.0.2.1");
      for (uint32_t remote = 0; remote < kRemotes; ++remote) {
        bridge.overlay->remotes.push_back({NodeAddress(bridge, remote), NodeMac(bridge, remote),
                                           Ipv4{(192u << 24) + (2u << 8) + 2 + remote}});
      }
    }
  }

  void Report(const std::string& what) {
    OvsPlan plan;
    Status applied;
    const double planned = Timed([&] { plan = host_.PlanSwitch(); });
    const double done =
        Timed([&] { applied = host_.space.In([&] { return host_.ovs->Apply(plan); }); });
    ASSERT_TRUE(applied.ok()) << applied.error().message();
    std::printf("%-28s look and plan %6.1f ms, apply %7.1f ms\n", what.c_str(), planned, done);
    std::fflush(stdout);
  }

  NetNamespace fabric_;
  OvsHost host_;
};

TEST_F(OvsScaleTest, FortyVclustersWithFourRemoteNodesEach) {
  Report("40 Vclusters, 4 remotes each");
  EXPECT_EQ(Words(host_.PlanSwitch()), "");
  Report("nothing");
  host_.desired.bridges[20].overlay->remotes[1].host = Ipv4::Parse("192.0.2.9").value();
  EXPECT_EQ(DescribeOvsChanges(host_.PlanSwitch()).size(), 1u);
  Report("one remote node moves");
  host_.WantNode(20, 9);
  EXPECT_EQ(DescribeOvsChanges(host_.PlanSwitch()).size(), 2u) << "its port, and its flows";
  Report("one node comes");
  host_.desired.veths.clear();
  host_.desired.bridges.pop_back();
  Report("it goes, and one Vcluster");
  host_.desired.bridges.clear();
  Report("all taken away");
  EXPECT_EQ(host_.Vsctl({"list-br"}), "phy0\n");
}

}  // namespace
}  // namespace strata::net
