// How long a host with many Vclusters takes: figures on standard output, for docs/network.md.
#include <gtest/gtest.h>

#include <algorithm>
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

// Of one host that has a node of each, the others' nodes being elsewhere; nothing is there yet, or
// all but what one change asks for.
class PlanScaleTest : public ::testing::Test {
 protected:
  static DesiredNetwork Make(uint32_t networks, uint32_t nodes_each) {
    DesiredNetwork desired{TestHost::kInstance, Ipv4Prefix::Parse("10.0.0.0/8").value(), {}, {}};
    desired.pool6 = Pool6For(TestHost::kInstance);
    for (uint32_t number = 1; number <= networks; ++number) {
      Bridge bridge =
          MakeBridge(TestHost::kInstance, number, desired.pool.Nth(24, number), desired.pool6);
      bridge.overlay = {.vni = number, .local = Ipv4::Parse("192.0.2.1").value()};
      desired.veths.push_back(MakeVeth(TestHost::kInstance, number, 0, 0));
      for (uint32_t node = 1; node < nodes_each; ++node) {
        const Ipv4 address = bridge.prefix.Host(kFirstNodeHost + node);
        bridge.overlay->remotes.push_back(
            {address, MacForNode(number, address), Ipv4{(192u << 24) + (2u << 8) + 1 + node}});
      }
      desired.bridges.push_back(std::move(bridge));
    }
    return desired;
  }
  static std::vector<ObservedLink> AsDesired(const DesiredNetwork& desired) {
    std::vector<ObservedLink> links;
    for (const Bridge& bridge : desired.bridges) {
      ObservedLink link{.name = bridge.name, .up = true, .addresses = {{bridge.gateway(), 32}}};
      link.mac = bridge.mac();
      link.mtu = bridge.mtu();
      link.addresses6 = {bridge.gateway6()};
      ObservedLink tunnel{.name = bridge.tunnel(), .up = true, .master = bridge.name};
      tunnel.mtu = bridge.mtu();
      tunnel.tunnel = {bridge.overlay->vni, bridge.overlay->local, bridge.overlay->port};
      tunnel.is_quiet_port = true;
      tunnel.mac = MacForHost(bridge.overlay->vni, bridge.overlay->local);
      for (const RemoteNode& remote : bridge.overlay->remotes) {
        link.neighbours[remote.address] = remote.mac;
        link.neighbours[bridge.Address6Of(remote.address)] = remote.mac;
        tunnel.remotes[remote.mac] = {remote.host, true, true};
      }
      links.push_back(std::move(link));
      links.push_back(std::move(tunnel));
    }
    for (const Veth& veth : desired.veths) {
      links.push_back(
          {.name = veth.name, .up = true, .master = BridgeName(TestHost::kInstance, veth.network)});
    }
    return links;
  }
  // The median of five.
  static double PlanMs(const DesiredNetwork& desired, const std::vector<ObservedLink>& links,
                       NetworkPlan* plan) {
    std::vector<double> times;
    for (int i = 0; i < 5; ++i) {
      times.push_back(Timed([&] { *plan = MakePlan(desired, links).value(); }));
    }
    std::sort(times.begin(), times.end());
    return times[2];
  }
};

TEST_F(PlanScaleTest, ThousandsOfNodesArePlannedInAMoment) {
  for (const auto& [networks, nodes] :
       {std::pair(1000u, 4u), std::pair(2500u, 4u), std::pair(40u, 250u)}) {
    DesiredNetwork desired = Make(networks, nodes);
    NetworkPlan plan;
    const double anew = PlanMs(desired, {}, &plan);
    EXPECT_EQ(plan.create_bridges.size(), networks);
    EXPECT_EQ(plan.set_fdb.size(), networks * (nodes - 1));
    const std::vector<ObservedLink> links = AsDesired(desired);
    const double nothing = PlanMs(desired, links, &plan);
    EXPECT_TRUE(IsDone(plan));
    desired.bridges[networks / 2].overlay->remotes[0].host = Ipv4::Parse("192.0.2.200").value();
    const double one = PlanMs(desired, links, &plan);
    EXPECT_EQ(plan.set_fdb.size(), 1u);
    std::printf("%4u networks of %3u nodes: planned anew %5.1f ms, nothing %5.1f, a move %5.1f\n",
                networks, nodes, anew, nothing, one);
  }
}

}  // namespace
}  // namespace strata::net
