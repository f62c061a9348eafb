#include "tests/unit/net/test_host.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace strata::net {

TestHost::TestHost() {
  space.Set("net/ipv4/ip_forward", "1");
  space.Set("net/ipv6/conf/all/forwarding", "1");
  desired.instance = kInstance;
  desired.pool6 = Pool6For(kInstance);
  desired.pool = Ipv4Prefix::Parse("10.90.0.0/16").value();
}

Bridge& TestHost::AddBridge(uint32_t cluster) {
  const std::string prefix = "10.90." + std::to_string(cluster) + ".0/24";
  desired.bridges.push_back(
      MakeBridge(kInstance, cluster, Ipv4Prefix::Parse(prefix).value(), desired.pool6));
  return desired.bridges.back();
}

TestNode TestHost::AddNode(uint32_t cluster, uint32_t index) {
  const std::string prefix = "10.90." + std::to_string(cluster) + ".";
  TestNode node;
  node.veth = VethName(kInstance, cluster, index);
  node.address = prefix + std::to_string(kFirstNodeHost + index);
  Join(space, node.veth, "", node.space, "eth0", node.address + "/24");
  const Bridge& bridge =
      *std::find_if(desired.bridges.begin(), desired.bridges.end(),
                    [&](const Bridge& one) { return one.name == BridgeName(kInstance, cluster); });
  const Ipv4 address = Ipv4::Parse(node.address).value();
  const std::string mtu = std::to_string(bridge.mtu());
  const std::string mac = ToString(MacForNode(bridge.network(), address));
  // Down: its address of IPv6 is made of the MAC that it comes up with.
  node.space.Ip({"link", "set", "eth0", "down", "address", mac, "mtu", mtu});
  node.space.Ip({"link", "set", "eth0", "up"});
  if (bridge.has_ipv6()) {
    node.address6 = bridge.Address6Of(address).ToString();
    node.space.Ip({"address", "add", node.address6 + "/64", "dev", "eth0", "nodad"});
    node.space.Ip({"route", "add", "default", "via", bridge.gateway6().ToString()});
  }
  space.Ip({"link", "set", node.veth, "mtu", mtu});
  node.space.Ip({"route", "add", "default", "via", prefix + std::to_string(kGatewayHost)});
  space.Ip({"link", "set", node.veth, "master", BridgeName(kInstance, cluster)});
  desired.veths.push_back(MakeVeth(kInstance, cluster, index, 0));
  return node;
}

NetworkPlan TestHost::Plan() const {
  const auto plan = space.In([&]() -> Result<NetworkPlan> {
    ASSIGN_OR_RETURN(const std::vector<ObservedLink> links, ObserveLinks());
    return MakePlan(desired, links);
  });
  EXPECT_TRUE(plan.ok()) << plan.error().message();
  return plan.value_or(NetworkPlan());
}

void TestHost::Apply() {
  const NetworkPlan plan = Plan();
  const auto applied = space.In([&] { return ApplyPlan(plan, &rules); });
  ASSERT_TRUE(applied.ok()) << applied.error().message();
}

bool IsDone(const NetworkPlan& plan) {
  return plan.delete_links.empty() && plan.delete_last.empty() && plan.create_bridges.empty() &&
         plan.set_bridges.empty() && plan.address_bridges.empty() &&
         plan.address6_bridges.empty() && plan.set_ports.empty() && plan.set_rates.empty() &&
         plan.create_tunnels.empty() && plan.set_tunnels.empty() && plan.delete_fdb.empty() &&
         plan.set_fdb.empty() && plan.delete_neighbours.empty() && plan.set_neighbours.empty() &&
         plan.add_transit.empty() && plan.remove_transit.empty();
}

}  // namespace strata::net
