// Where a packet goes and where it ends, for values: a host with three networks, all that is there
// as it should be.
#include "net/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::net {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using End = TraceStep::End;

constexpr char kInstance[] = "ab123";
Ipv4 A(const std::string& text) { return Ipv4::Parse(text).value(); }

IpAddress Any(const std::string& text) { return IpAddress::Parse(text).value(); }

class TraceTest : public ::testing::Test {
 protected:
  // Network 1: nodes 0 and 1 here, node 7 elsewhere. Network 2: node 0 here. Network 3 likewise,
  // and a peer of 2.
  void SetUp() override {
    desired_ = {kInstance, Ipv4Prefix::Parse("10.90.0.0/16").value(), {}, {}};
    desired_.pool6 = ParsePool6("fd12:3456:7800::/40").value();
    for (const uint32_t number : {1u, 2u, 3u}) {
      const std::string prefix = "10.90." + std::to_string(number) + ".0/24";
      desired_.bridges.push_back(
          MakeBridge(kInstance, number, Ipv4Prefix::Parse(prefix).value(), desired_.pool6));
      desired_.veths.push_back(MakeVeth(kInstance, number, 0, 0));
    }
    desired_.veths.push_back(MakeVeth(kInstance, 1, 1, 0));
    desired_.bridges[1].peers = {3};
    desired_.bridges[2].peers = {2};
    Bridge& first = desired_.bridges[0];
    first.forwards = {{Protocol::kTcp, 20080, A("10.90.1.2"), 80}};
    Overlay& overlay = first.overlay.emplace();
    overlay.vni = 1;
    overlay.local = A("192.0.2.1");
    overlay.remotes = {{A("10.90.1.9"), MacForNode(1, A("10.90.1.9")), A("192.0.2.9")}};
    for (const Bridge& bridge : desired_.bridges) {
      links_.push_back({.name = bridge.name, .up = true, .addresses = {{bridge.gateway(), 32}}});
    }
    for (const Veth& veth : desired_.veths) {
      links_.push_back(
          {.name = veth.name, .up = true, .master = BridgeName(kInstance, veth.network)});
    }
    ObservedLink tunnel{.name = first.tunnel(), .up = true};
    tunnel.remotes[overlay.remotes[0].mac] = {A("192.0.2.9"), true, true};
    links_.push_back(tunnel);
    links_.push_back({.name = "up0",
                      .up = true,
                      .addresses = {{A("192.0.2.1"), 32}},
                      .addresses6 = {Any("2001:db8::1")}});
  }
  TraceStep Last(const std::string& from, const std::string& to, uint16_t tcp = 0) {
    TraceQuestion question{Any(from), Any(to), {}, tcp};
    if (tcp != 0) question.protocol = Protocol::kTcp;
    const std::vector<TraceStep> steps = Trace(desired_, links_, Driver::kLinux, question);
    for (size_t i = 0; i + 1 < steps.size(); ++i) EXPECT_EQ(steps[i].end, End::kGoesOn);
    EXPECT_FALSE(steps.empty());
    return steps.back();
  }
  // Of what it says, where it names the fast path.
  std::vector<std::string> FastSteps(const std::string& from, const std::string& to) {
    int index = 0;
    for (ObservedLink& link : links_) link.index = ++index;
    Link(desired_.bridges[0].tunnel()).master = desired_.bridges[0].name;
    Link(desired_.bridges[0].tunnel()).tunnel = ObservedTunnel{1, A("192.0.2.1"), kVxlanPort};
    const FastState fast =
        MakeFastState(desired_, links_, {KeptOffTheFastPath(desired_), /*wraps=*/true});
    std::vector<std::string> said;
    for (const TraceStep& step :
         Trace(desired_, links_, Driver::kLinux, {Any(from), Any(to), {}, 0}, &fast)) {
      if (step.where == "fast path") said.push_back(step.what);
    }
    return said;
  }
  ObservedLink& Link(const std::string& name) {
    return *std::find_if(links_.begin(), links_.end(),
                         [&](const ObservedLink& link) { return link.name == name; });
  }
  void ExpectEnd(End end, const TraceStep& step, const std::string& what) {
    EXPECT_EQ(step.end, end) << step.where << ": " << step.what;
    EXPECT_THAT(step.where + ": " + step.what, HasSubstr(what));
  }

  DesiredNetwork desired_;
  std::vector<ObservedLink> links_;
};

TEST_F(TraceTest, WithinANetworkItArrives) {
  ExpectEnd(End::kArrives, Last("10.90.1.2", "10.90.1.3"), "node 1");
  ExpectEnd(End::kElsewhere, Last("10.90.1.2", "10.90.1.9"), "VNI 1 to host 192.0.2.9");
  ExpectEnd(End::kArrives, Last("10.90.1.9", "10.90.1.2"), "node 0");
  ExpectEnd(End::kDropped, Last("10.90.1.2", "10.90.1.77"), "nobody has 10.90.1.77");
}

TEST_F(TraceTest, BetweenNetworksOnlyPeersSpeak) {
  ExpectEnd(End::kDropped, Last("10.90.1.2", "10.90.2.2"), "between_networks");
  ExpectEnd(End::kArrives, Last("10.90.2.2", "10.90.3.2"), "node 0");
  desired_.bridges[2].peers.clear();  // One side alone says so.
  ExpectEnd(End::kDropped, Last("10.90.2.2", "10.90.3.2"), "between_networks");
}

TEST_F(TraceTest, TheHostIsReachedByPingAndForwardsAlone) {
  ExpectEnd(End::kArrives, Last("10.90.1.2", "10.90.1.1"), "answers ping");
  ExpectEnd(End::kDropped, Last("10.90.1.2", "192.0.2.1", 22), "to_host");
  ExpectEnd(End::kArrives, Last("10.90.2.2", "192.0.2.1", 20080), "node 0");
  ExpectEnd(End::kArrives, Last("198.51.100.7", "192.0.2.1", 20080), "node 0");
  ExpectEnd(End::kArrives, Last("198.51.100.7", "192.0.2.1", 22), "is the host itself");
}

TEST_F(TraceTest, OutsideIsReachedAndDoesNotReachIn) {
  ExpectEnd(End::kElsewhere, Last("10.90.1.2", "198.51.100.7", 443), "masqueraded");
  ExpectEnd(End::kDropped, Last("198.51.100.7", "10.90.1.2", 80), "from_outside");
  ExpectEnd(End::kArrives, Last("192.0.2.1", "10.90.1.2", 80), "node 0");
}

TEST_F(TraceTest, AddressesOfIpv6LeadTheSameWay) {
  const std::string own = "fd12:3456:7800:1::2";
  ExpectEnd(End::kArrives, Last(own, "fd12:3456:7800:1::3"), "node 1");
  ExpectEnd(End::kElsewhere, Last(own, "fd12:3456:7800:1::9"), "VNI 1 to host 192.0.2.9");
  ExpectEnd(End::kDropped, Last(own, "fd12:3456:7800:1::4d"), "nobody has fd12:3456:7800:1::4d");
  ExpectEnd(End::kDropped, Last(own, "fd12:3456:7800:2::2"), "between_networks");
  ExpectEnd(End::kArrives, Last("fd12:3456:7800:2::2", "fd12:3456:7800:3::2"), "node 0");
  ExpectEnd(End::kArrives, Last(own, "fd12:3456:7800:1::1"), "answers ping");
  ExpectEnd(End::kDropped, Last(own, "2001:db8::1", 22), "to_host");
  ExpectEnd(End::kArrives, Last("2001:db8::7", "2001:db8::1", 20080), "node 0");
  ExpectEnd(End::kElsewhere, Last(own, "2001:db8::7", 443), "masqueraded");
  ExpectEnd(End::kDropped, Last("2001:db8::7", own, 80), "from_outside");
  desired_ = WithoutIpv6(desired_);
  ExpectEnd(End::kElsewhere, Last("2001:db8::7", own, 80), "is of no network of this host");
}

TEST_F(TraceTest, WhatIsMissingOnTheWayIsNamed) {
  const std::string veth = VethName(kInstance, 1, 1);
  Link(veth).master = "";
  ExpectEnd(End::kDropped, Last("10.90.1.2", "10.90.1.3"), veth + ": is no port of bridge");
  Link(veth).up = false;
  ExpectEnd(End::kDropped, Last("10.90.1.3", "10.90.1.2"), veth + ": is down");
  const std::string tunnel = desired_.bridges[0].tunnel();
  Link(tunnel).remotes.clear();
  ExpectEnd(End::kDropped, Last("10.90.1.2", "10.90.1.9"), tunnel + ": has no way to");
  Link(desired_.bridges[0].name).up = false;
  ExpectEnd(End::kDropped, Last("10.90.1.9", "10.90.1.2"), "is down");
  std::erase_if(links_, [&](const ObservedLink& link) { return link.name == veth; });
  ExpectEnd(End::kDropped, Last("10.90.1.3", "10.90.1.2"), "the node does not run");
}

TEST_F(TraceTest, AClosedGroupTakesWhatItsRulesSay) {
  desired_.veths[3].group = 2;  // Node 1 of network 1.
  desired_.bridges[0].group_rules = {{.from = GroupRule::From::kOutside,
                                      .to_group = 2,
                                      .kind = GroupRule::Kind::kTcp,
                                      .port_first = 80,
                                      .port_last = 90}};
  desired_.bridges[0].forwards.push_back({Protocol::kTcp, 20081, A("10.90.1.3"), 80});
  ExpectEnd(End::kDropped, Last("10.90.1.2", "10.90.1.3", 80), "group.1.2");
  ExpectEnd(End::kArrives, Last("198.51.100.7", "192.0.2.1", 20081), "node 1");
  desired_.bridges[0].group_rules[0].from = GroupRule::From::kAny;
  ExpectEnd(End::kArrives, Last("10.90.1.2", "10.90.1.3", 85), "node 1");
  ExpectEnd(End::kDropped, Last("10.90.1.2", "10.90.1.3", 91), "group.1.2");
  ExpectEnd(End::kDropped, Last("10.90.1.2", "10.90.1.3"), "group.1.2");
}

TEST_F(TraceTest, SaysWhatTakesTheFastPath) {
  EXPECT_THAT(FastSteps("10.90.1.2", "10.90.1.3"), ElementsAre(HasSubstr("past the bridge")));
  EXPECT_THAT(FastSteps("10.90.1.9", "10.90.1.3"), ElementsAre(HasSubstr("past the bridge")));
  EXPECT_THAT(FastSteps("10.90.1.2", "10.90.1.9"), ElementsAre(HasSubstr("packets of the tunnel")));
  EXPECT_THAT(FastSteps("10.90.1.2", "10.90.1.1"), IsEmpty());
  EXPECT_THAT(FastSteps("10.90.2.2", "10.90.3.2"), IsEmpty()) << "peers";
  desired_.veths[0].user = 7;
  EXPECT_THAT(FastSteps("10.90.1.2", "10.90.1.3"), IsEmpty());
}

}  // namespace
}  // namespace strata::net
