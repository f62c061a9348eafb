// How long a host with many Vclusters takes: figures on standard output, for docs/network.md.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>

#include "tests/unit/net/test_host.h"

namespace strata::net {
namespace {

constexpr uint32_t kBridges = 200;
constexpr uint32_t kRemotes = 4;
constexpr uint32_t kNodes = 4;  // On this host; their links come later.

// Milliseconds of `work`.
template <typename Work>
double Timed(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

class NetworkScaleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    host_.desired.pool = Ipv4Prefix::Parse("10.0.0.0/8").value();
    for (uint32_t number = 1; number <= kBridges; ++number) {
      Bridge& bridge = host_.AddBridge(number);
      bridge.overlay = {.vni = number, .local = Ipv4::Parse("192.0.2.1").value()};
      for (uint32_t node = 0; node < kNodes; ++node) {
        host_.desired.veths.push_back(MakeVeth(TestHost::kInstance, number, node, 0));
        host_.desired.veths.back().group = node % 2 + 1;
      }
      bridge.group_rules = {{.to_group = 1, .kind = GroupRule::Kind::kTcp},
                            {.from = GroupRule::From::kGroup, .from_group = 1, .to_group = 2}};
      bridge.forwards = {{Protocol::kTcp, static_cast<uint16_t>(20000 + number),
                          bridge.prefix.Host(kFirstNodeHost), 80}};
      for (uint32_t remote = 0; remote < kRemotes; ++remote) {
        const Ipv4 address = bridge.prefix.Host(kFirstNodeHost + kNodes + remote);
        bridge.overlay->remotes.push_back(
            {address, MacForNode(number, address), Ipv4{(192u << 24) + (2u << 8) + 2 + remote}});
      }
    }
  }

  void Report(const std::string& what) {
    Result<std::vector<ObservedLink>> links(std::vector<ObservedLink>{});
    Result<NetworkPlan> plan(NetworkPlan{});
    Result<bool> applied(false);
    host_.space.In([&] {
      const double observe = Timed([&] { links = ObserveLinks(); });
      const double decide = Timed([&] { plan = MakePlan(host_.desired, *links); });
      const double rules = Timed([&] {
        NetworkPlan only_rules;
        only_rules.ruleset = plan->ruleset;
        applied = ApplyPlan(only_rules, &host_.rules);
      });
      ASSERT_TRUE(applied.ok()) << applied.error().message();
      const double apply = Timed([&] { applied = ApplyPlan(*plan, &host_.rules); });
      std::printf(
          "%-28s observe %6.1f ms, plan %5.1f ms, rules %5.1f ms, the rest of apply %7.1f ms\n",
          what.c_str(), observe, decide, rules, apply);
    });
    ASSERT_TRUE(applied.ok()) << applied.error().message();
  }

  TestHost host_;
};

TEST_F(NetworkScaleTest, TwoHundredOverlaysWithFourRemoteNodesEach) {
  Report("200 overlays, 4 remotes each");
  EXPECT_TRUE(IsDone(host_.Plan()));
  Report("nothing");
  host_.desired.bridges[100].overlay->remotes[1].host = Ipv4::Parse("192.0.2.9").value();
  const NetworkPlan plan = host_.Plan();
  EXPECT_EQ(plan.set_fdb.size(), 1u);
  EXPECT_EQ(plan.set_neighbours.size(), 0u);
  Report("one remote node moves");
  EXPECT_TRUE(IsDone(host_.Plan()));
  host_.desired.veths.push_back(MakeVeth(TestHost::kInstance, 100, kNodes, 0));
  Report("one node comes");
  host_.desired.veths.back().group = 2;
  Report("it changes its group");
  host_.desired.bridges[100].forwards.clear();
  Report("a forward ends");
  host_.desired.bridges.pop_back();
  Report("one Vcluster ends");
  host_.desired.bridges.clear();
  Report("all taken away");
  EXPECT_EQ(host_.space.In([] { return ObserveLinks()->size(); }), 1u) << "the loopback device";
}

}  // namespace
}  // namespace strata::net
