#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "common/subprocess.h"
#include "net/plan.h"
#include "net/ruleset.h"

namespace strata::net {
namespace {

Ipv4 A(std::string_view text) { return Ipv4::Parse(text).value(); }

RemoteNode Remote(const char* address, const char* host) {
  return {A(address), MacForNode(7, A(address)), A(host)};
}

DesiredNetwork One() {
  Bridge bridge;
  bridge.name = BridgeName("1a2b3", 1);
  bridge.prefix = Ipv4Prefix::Parse("10.90.1.0/24").value();
  bridge.overlay = {
      .vni = 7,
      .local = A("192.0.2.1"),
      .remotes = {Remote("10.90.1.2", "192.0.2.2"), Remote("10.90.1.3", "192.0.2.3")}};
  return {"1a2b3", Ipv4Prefix::Parse("10.90.0.0/16").value(), {bridge}, {}};
}

// The bridge, then its tunnel.
std::vector<ObservedLink> AsTheyShouldBe(const Bridge& bridge) {
  const Overlay& overlay = *bridge.overlay;
  ObservedLink link = {.name = bridge.name,
                       .up = true,
                       .addresses = {{bridge.gateway(), 32}},
                       .mac = bridge.mac(),
                       .mtu = bridge.mtu()};
  ObservedLink tunnel = {.name = "s1a2b3x1",
                         .up = true,
                         .master = bridge.name,
                         .mac = MacForHost(overlay.vni, overlay.local),
                         .mtu = bridge.mtu(),
                         .tunnel = ObservedTunnel{overlay.vni, overlay.local, overlay.port},
                         .is_quiet_port = true};
  for (const RemoteNode& remote : overlay.remotes) {
    link.neighbours[remote.address] = remote.mac;
    tunnel.remotes[remote.mac] = {remote.host, true, true};
  }
  return {link, tunnel};
}

// All of a plan but the rules, as words.
std::string Words(const NetworkPlan& plan) {
  std::string text;
  for (const auto& name : plan.delete_links) text += "delete " + name + "; ";
  for (const auto& bridge : plan.create_bridges) text += "create " + bridge.name + "; ";
  for (const auto& settings : plan.set_bridges) text += "set " + settings.name + "; ";
  for (const auto& bridge : plan.create_tunnels) text += "create " + bridge.tunnel() + "; ";
  for (const auto& bridge : plan.set_tunnels) text += "set " + bridge.tunnel() + "; ";
  for (const auto& bridge : plan.add_transit) text += "transit of " + bridge + "; ";
  for (const auto& bridge : plan.remove_transit) text += "no transit of " + bridge + "; ";
  for (const auto& gone : plan.delete_fdb) text += "no fdb " + ToString(gone.mac) + "; ";
  for (const auto& entry : plan.set_fdb) {
    text += "fdb " + ToString(entry.mac) + " " + entry.host.ToString() + "; ";
  }
  for (const auto& gone : plan.delete_neighbours) text += "no " + gone.address.ToString() + "; ";
  for (const auto& one : plan.set_neighbours) {
    text += one.address.ToString() + " " + ToString(one.mac) + "; ";
  }
  return text;
}

std::string Plan(const DesiredNetwork& desired, const std::vector<ObservedLink>& links) {
  return Words(MakePlan(desired, links).value());
}

TEST(OverlayPlan, OfWhatIsThereAlreadyIsEmpty) {
  EXPECT_EQ(Plan(One(), AsTheyShouldBe(One().bridges[0])), "");
}

TEST(OverlayPlan, MakesATunnelWithAllItsEntries) {
  const NetworkPlan plan = MakePlan(One(), {}).value();
  EXPECT_EQ(plan.create_tunnels.size(), 1u);
  EXPECT_EQ(plan.set_tunnels.size(), 1u);
  EXPECT_EQ(plan.set_fdb.size(), 2u);
  EXPECT_EQ(plan.set_neighbours.size(), 2u);
}

TEST(OverlayPlan, OfOneRemoteNodeTouchesOneEntryOfEachTable) {
  const auto links = AsTheyShouldBe(One().bridges[0]);
  const std::string mac = ToString(MacForNode(7, A("10.90.1.3")));
  DesiredNetwork desired = One();
  auto& remotes = desired.bridges[0].overlay->remotes;
  remotes[1].host = A("192.0.2.4");
  EXPECT_EQ(Plan(desired, links), "fdb " + mac + " 192.0.2.4; ");
  remotes.pop_back();
  EXPECT_EQ(Plan(desired, links), "no fdb " + mac + "; no 10.90.1.3; ");
  remotes.push_back(Remote("10.90.1.4", "192.0.2.3"));
  const std::string other = ToString(MacForNode(7, A("10.90.1.4")));
  EXPECT_EQ(Plan(desired, links), "no fdb " + mac + "; fdb " + other +
                                      " 192.0.2.3; no 10.90.1.3; 10.90.1.4 " + other + "; ");
}

TEST(OverlayPlan, RepairsWhatIsMissing) {
  const std::string fdb = "fdb " + ToString(MacForNode(7, A("10.90.1.2"))) + " 192.0.2.2; ";
  const auto planned = [&](const std::function<void(ObservedLink*)>& spoil) {
    std::vector<ObservedLink> links = AsTheyShouldBe(One().bridges[0]);
    spoil(&links[1]);
    return Plan(One(), links);
  };
  const Mac mac = MacForNode(7, A("10.90.1.2"));
  EXPECT_EQ(planned([&](ObservedLink* t) { t->remotes[mac].on_bridge = false; }), fdb);
  EXPECT_EQ(planned([&](ObservedLink* t) { t->remotes[mac].on_tunnel = false; }), fdb);
  EXPECT_NE(planned([&](ObservedLink* t) { t->master = "s1a2b3b9"; }).find("set s1a2b3x1; " + fdb),
            std::string::npos)
      << "the entries of a port go with the bridge";
  for (const auto& spoil : std::vector<std::function<void(ObservedLink*)>>{
           [](ObservedLink* t) { t->up = false; }, [](ObservedLink* t) { t->mtu = 1500; },
           [](ObservedLink* t) { t->is_quiet_port = false; },
           [](ObservedLink* t) { t->mac = MacForHost(7, A("192.0.2.2")); }}) {
    EXPECT_EQ(planned(spoil), "set s1a2b3x1; ");
  }
}

TEST(OverlayPlan, MakesATunnelAnewThatWasMadeForSomethingElse) {
  const std::string anew = Plan(One(), {AsTheyShouldBe(One().bridges[0])[0]});
  for (const auto& spoil : std::vector<std::function<void(ObservedTunnel*)>>{
           [](ObservedTunnel* t) { t->vni = 8; }, [](ObservedTunnel* t) { t->port = 8472; },
           [](ObservedTunnel* t) { t->local = A("192.0.2.9"); }}) {
    std::vector<ObservedLink> links = AsTheyShouldBe(One().bridges[0]);
    spoil(&*links[1].tunnel);
    EXPECT_EQ(Plan(One(), links), "delete s1a2b3x1; " + anew);
  }
}

TEST(OverlayPlan, OfABridgeWithoutOverlayTakesTunnelAndNeighboursAway) {
  const auto links = AsTheyShouldBe(One().bridges[0]);
  DesiredNetwork desired = One();
  desired.bridges[0].overlay.reset();
  // The bridge gets its own MAC again, and forgets its neighbours by that.
  EXPECT_EQ(Plan(desired, links), "delete s1a2b3x1; set s1a2b3b1; ");
  desired.bridges.clear();
  EXPECT_EQ(Plan(desired, links), "delete s1a2b3b1; delete s1a2b3x1; ");
}

TEST(OverlayPlan, SetsAllNeighboursOfABridgeThatGetsItsMac) {
  std::vector<ObservedLink> links = AsTheyShouldBe(One().bridges[0]);
  links[0].mac = MacForGateway(8);
  const NetworkPlan plan = MakePlan(One(), links).value();
  ASSERT_EQ(plan.set_bridges.size(), 1u);
  EXPECT_EQ(plan.set_bridges[0].mac, MacForGateway(7));
  EXPECT_EQ(plan.set_neighbours.size(), 2u);
  EXPECT_TRUE(plan.set_fdb.empty());
}

TEST(OverlayPlan, LeavesRoomForTheHeadersOfTheTunnel) {
  Bridge bridge = One().bridges[0];
  EXPECT_EQ(bridge.mtu(), 1450u);
  bridge.overlay->underlay_mtu = 9000;
  EXPECT_EQ(bridge.mtu(), 8950u);
}

TEST(OverlayPlan, RefusesWhatNoNetworkCanBe) {
  const auto refused = [](const std::function<void(DesiredNetwork*, Overlay*)>& spoil) {
    DesiredNetwork desired = One();
    spoil(&desired, &*desired.bridges[0].overlay);
    const auto plan = MakePlan(desired, {});
    return !plan.ok() && plan.error().code() == Code::kInvalidArgument;
  };
  EXPECT_FALSE(refused([](DesiredNetwork*, Overlay*) {}));
  EXPECT_TRUE(refused([](auto*, Overlay* o) { o->vni = 0; }));
  EXPECT_TRUE(refused([](auto*, Overlay* o) { o->vni = kVniMax + 1; }));
  EXPECT_TRUE(refused([](auto*, Overlay* o) { o->port = 0; }));
  EXPECT_TRUE(refused([](auto*, Overlay* o) { o->local = A("0.0.0.0"); }));
  EXPECT_TRUE(refused([](auto*, Overlay* o) { o->underlay_mtu = kUnderlayMtuMin - 1; }));
  EXPECT_TRUE(refused([](auto*, Overlay* o) { o->underlay_mtu = kUnderlayMtuMax + 1; }));
  EXPECT_TRUE(refused([](auto*, Overlay* o) { o->remotes[0].address = A("10.90.2.2"); }));
  EXPECT_TRUE(refused([](auto*, Overlay* o) { o->remotes[0].address = A("10.90.1.1"); }));
  EXPECT_TRUE(refused([](auto*, Overlay* o) { o->remotes[0].address = o->remotes[1].address; }));
  EXPECT_TRUE(refused([](auto*, Overlay* o) { o->remotes[0].host = o->local; }));
  EXPECT_TRUE(refused([](auto*, Overlay* o) { o->remotes[0].host = A("224.0.0.1"); }))
      << "a group: frames would be flooded";
  EXPECT_TRUE(refused([](auto*, Overlay* o) { o->remotes[0].mac = o->remotes[1].mac; }));
  EXPECT_TRUE(refused([](auto*, Overlay* o) { o->remotes[0].mac = MacForGateway(7); }));
  EXPECT_TRUE(refused([](auto*, Overlay* o) { o->remotes[0].mac[0] |= 1; }));
  EXPECT_TRUE(refused([](auto*, Overlay* o) { o->remotes[0].mac = Mac{}; }));
  EXPECT_TRUE(refused([](DesiredNetwork* desired, auto*) {
    Bridge other = desired->bridges[0];
    other.name = BridgeName("1a2b3", 2);
    desired->bridges.push_back(other);
  }));
  EXPECT_TRUE(refused([](DesiredNetwork* desired, auto*) {
    desired->bridges[0].forwards = {{Protocol::kUdp, kVxlanPort, A("10.90.1.9"), 53}};
  }));
}

constexpr char kNodeHere[] = "10.90.1.9";

DesiredNetwork ForwardedTo() {
  DesiredNetwork desired = One();
  desired.bridges[0].remote_forwards = {{Protocol::kTcp, A(kNodeHere), 80, A("192.0.2.2")},
                                        {Protocol::kUdp, A(kNodeHere), 53, A("192.0.2.2")},
                                        {Protocol::kTcp, A(kNodeHere), 80, A("192.0.2.9")}};
  return desired;
}

TEST(OverlayPlan, OfAnotherHostsForwardHasAWayBackToThatHost) {
  const auto links = AsTheyShouldBe(One().bridges[0]);
  const std::string second = ToString(MacForHost(7, A("192.0.2.2")));
  const std::string ninth = ToString(MacForHost(7, A("192.0.2.9")));
  EXPECT_EQ(Plan(ForwardedTo(), links), "transit of s1a2b3b1; fdb " + second + " 192.0.2.2; fdb " +
                                            ninth + " 192.0.2.9; " + "240.0.2.2 " + second +
                                            "; 240.0.2.9 " + ninth + "; ");
  std::vector<ObservedLink> there = links;
  there[0].addresses.push_back({A("240.255.255.254"), 32});
  for (const char* host : {"192.0.2.2", "192.0.2.9"}) {
    const Mac mac = MacForHost(7, A(host));
    there[0].neighbours[Ipv4{A(host).value % (1u << 24) + (240u << 24)}] = mac;
    there[1].remotes[mac] = {A(host), true, true};
  }
  EXPECT_EQ(Plan(ForwardedTo(), there), "");
  EXPECT_THAT(Plan(One(), there), testing::StartsWith("no transit of s1a2b3b1; no fdb"));
}

TEST(OverlayPlan, RefusesForwardsOfOtherHostsThatCannotBe) {
  using Forwards = std::vector<RemoteForward>;
  const auto refused = [](const std::function<void(Forwards*)>& spoil) {
    DesiredNetwork desired = ForwardedTo();
    spoil(&desired.bridges[0].remote_forwards);
    const auto plan = MakePlan(desired, {});
    return !plan.ok() && plan.error().code() == Code::kInvalidArgument;
  };
  EXPECT_FALSE(refused([](Forwards*) {}));
  EXPECT_TRUE(refused([](Forwards* f) { f->push_back(f->front()); })) << "twice";
  EXPECT_TRUE(refused([](Forwards* f) { f->front().node_port = 0; }));
  EXPECT_TRUE(refused([](Forwards* f) { f->front().address = A("10.90.1.1"); })) << "the gateway";
  EXPECT_TRUE(refused([](Forwards* f) { f->front().address = A("10.90.1.2"); })) << "elsewhere";
  EXPECT_TRUE(refused([](Forwards* f) { f->front().host = A("192.0.2.1"); })) << "this host";
  EXPECT_TRUE(refused([](Forwards* f) { f->front().host = A("224.0.0.1"); }));
  EXPECT_TRUE(refused([](Forwards* f) { f->front().host = A("10.255.255.254"); }));
  EXPECT_TRUE(refused([](Forwards* f) { f->front().host = A("10.0.2.9"); }))
      << "not told apart from 192.0.2.9";
  EXPECT_TRUE(refused([](Forwards* f) {
    for (uint32_t i = 0; i <= kForwardingHostsMax; ++i) {
      f->push_back({Protocol::kTcp, A(kNodeHere), 443, {A("192.0.3.1").value + i}});
    }
  }));
  DesiredNetwork alone = ForwardedTo();
  alone.bridges[0].overlay.reset();
  EXPECT_FALSE(MakePlan(alone, {}).ok()) << "there is no way back";
}

TEST(OverlayPlan, AForwardThatEndsTakesNothingNew) {
  DesiredNetwork desired = One();
  desired.bridges[0].forwards = {{Protocol::kTcp, 20080, A("10.90.1.2"), 80}};
  const auto elements = [&](const std::string& collection) {
    return MakeRuleset(desired).tables[0].collections.at(collection).elements.size();
  };
  EXPECT_EQ(elements("forwards"), 1u);
  desired.bridges[0].forwards[0].ending = true;
  EXPECT_EQ(elements("forwards"), 0u);
  EXPECT_EQ(elements("forwarded"), 1u);
}

TEST(OverlayPlan, RulesAreAcceptedByNft) {
  DesiredNetwork desired = One();
  desired.bridges[0].overlay->remotes.push_back(Remote("10.90.1.9", "192.0.2.3"));
  for (int round = 0; round < 2; ++round) {
    const auto checked =
        RunChecked({"unshare", "-n", "nft", "-f", "-"}, FormatRuleset(MakeRuleset(desired)));
    EXPECT_TRUE(checked.ok()) << checked.error().message();
    desired.bridges[0].overlay->remotes.clear();
  }
}

}  // namespace
}  // namespace strata::net
