// From a fabric as it should be, and what is there, to what is done: no system call.
#include "net/secure/fabric_plan.h"

#include <gtest/gtest.h>

#include <functional>

#include "net/secure/fabric_rules.h"

namespace strata::net {
namespace {

using std::chrono::seconds;

constexpr char kInstance[] = "ab123";
constexpr char kDevice[] = "sab123w";
constexpr seconds kNow(1'800'000'000);

Ipv4 A(const std::string& text) { return Ipv4::Parse(text).value(); }
Endpoint E(const std::string& text) { return Endpoint::Parse(text).value(); }

FabricPeer Peer(int number, bool has_endpoint = true) {
  FabricPeer peer;
  peer.host = "h" + std::to_string(number);
  peer.address = A("10.88.0." + std::to_string(number));
  peer.key.bytes.fill(static_cast<uint8_t>(number));
  if (has_endpoint) peer.endpoint = E("192.0.2." + std::to_string(number) + ":51820");
  return peer;
}

class FabricPlanTest : public ::testing::Test {
 protected:
  FabricPlanTest() {
    fabric_.instance = kInstance;
    fabric_.prefix = Ipv4Prefix::Parse("10.88.0.0/16").value();
    fabric_.address = A("10.88.0.1");
    fabric_.key = SecretKey::GeneratePrivate().value();
    fabric_.peers = {Peer(2), Peer(3, false)};
    ObservedLink eth0;
    eth0.name = "eth0";
    eth0.addresses = {{A("192.0.2.1"), 32}};
    bare_.links = {eth0};
    bare_.now = kNow;
  }

  // As it is when it has been made.
  ObservedFabric Made() const {
    ObservedFabric made = bare_;
    ObservedLink link;
    link.name = kDevice;
    link.up = true;
    link.mtu = 1440;
    link.addresses = {{fabric_.address, 32}};
    made.links.push_back(link);
    made.addresses = {{fabric_.address, 16}};
    made.has_rules = true;
    made.has_device = true;
    made.device.emplace();
    made.device->key = fabric_.key;
    made.device->port = fabric_.port;
    for (const FabricPeer& peer : fabric_.peers) {
      ObservedPeer& there = made.device->peers.emplace_back();
      there.key = peer.key;
      there.endpoint = there.told = peer.endpoint;
      there.allowed = {{peer.address, 32}};
      if (fabric_.is_behind_nat && peer.endpoint) there.keepalive_s = kKeepaliveS;
    }
    return made;
  }

  FabricPlan Plan(const ObservedFabric& observed) const {
    const auto plan = MakeFabricPlan(kInstance, fabric_, observed);
    EXPECT_TRUE(plan.ok()) << plan.error().message();
    return plan.value_or(FabricPlan());
  }
  std::vector<std::string> Changes(const ObservedFabric& observed) const {
    return DescribeChanges(Plan(observed));
  }
  // The one change of which a plan consists.
  std::string OnlyChange(const ObservedFabric& observed) const {
    const auto changes = Changes(observed);
    return changes.size() == 1 ? changes[0] : ::testing::PrintToString(changes);
  }

  SecureFabric fabric_;
  ObservedFabric bare_;
};

TEST_F(FabricPlanTest, AllIsMadeWhereNothingIs) {
  fabric_.is_behind_nat = true;
  const std::vector<std::string> expected = {
      "~ rules of fabric sab123w",
      "+ fabric sab123w port 51820",
      "+ peer h2 10.88.0.2 of sab123w at 192.0.2.2:51820 kept alive every 25 s",
      "+ peer h3 10.88.0.3 of sab123w",
      "+ address 10.88.0.1/16 of sab123w",
      "~ fabric sab123w up mtu 1440",
  };
  EXPECT_EQ(Changes(bare_), expected);
  const FabricPlan plan = Plan(bare_);
  EXPECT_TRUE(plan.create);
  EXPECT_TRUE(*plan.change.key == fabric_.key);
  for (const std::string& line : Changes(bare_)) {
    EXPECT_EQ(line.find(fabric_.key.ToString()), std::string::npos) << "a secret is told";
  }
}

TEST_F(FabricPlanTest, NothingIsDoneWhereAllIsMade) {
  EXPECT_TRUE(Plan(Made()).empty());
  fabric_.is_behind_nat = true;
  EXPECT_TRUE(Plan(Made()).empty());
}

TEST_F(FabricPlanTest, EachDifferenceIsOneChange) {
  const std::vector<std::pair<std::string, std::function<void(ObservedFabric*)>>> cases = {
      {"~ rules of fabric sab123w", [](auto* o) { o->has_rules = false; }},
      {"~ fabric sab123w port 51820", [](auto* o) { o->device->port = 1; }},
      {"~ fabric sab123w with another key", [](auto* o) { o->device->key = SecretKey(); }},
      {"~ fabric sab123w up mtu 1440", [](auto* o) { o->links[1].mtu = 1420; }},
      {"~ fabric sab123w up mtu 1440", [](auto* o) { o->links[1].up = false; }},
      {"+ address 10.88.0.1/16 of sab123w", [](auto* o) { o->addresses.clear(); }},
      {"- address 10.88.0.9/16 of sab123w",
       [](auto* o) {
         o->addresses.push_back({A("10.88.0.9"), 16});
       }},
      {"+ peer h3 10.88.0.3 of sab123w", [](auto* o) { o->device->peers.pop_back(); }},
      {"~ peer h2 10.88.0.2 of sab123w", [](auto* o) { o->device->peers[0].allowed.clear(); }},
      {"~ peer h2 10.88.0.2 of sab123w",
       [](auto* o) {
         o->device->peers[0].allowed.push_back({A("0.0.0.0"), 0});
       }},
      {"~ peer h2 10.88.0.2 of sab123w", [](auto* o) { o->device->peers[0].allows_ipv6 = true; }},
      {"~ peer h2 10.88.0.2 of sab123w", [](auto* o) { o->device->peers[0].keepalive_s = 1; }},
      {"~ peer h2 10.88.0.2 of sab123w",
       [](auto* o) { o->device->peers[0].preshared = SecretKey::GeneratePreshared().value(); }},
  };
  for (const auto& [expected, change] : cases) {
    ObservedFabric observed = Made();
    change(&observed);
    EXPECT_EQ(OnlyChange(observed), expected);
  }
  ObservedFabric observed = Made();
  observed.device->peers.emplace_back().key = Peer(9).key;
  EXPECT_EQ(OnlyChange(observed), "- peer " + Peer(9).key.ToString() + " of sab123w");
}

TEST_F(FabricPlanTest, APeerIsWhereItWasHeardAsLongAsItIsHeard) {
  ObservedFabric observed = Made();
  ObservedPeer& peer = observed.device->peers[0];
  peer.endpoint = E("198.51.100.7:4711");
  peer.last_handshake = kNow - seconds(100);
  EXPECT_TRUE(Plan(observed).empty());
  peer.last_handshake = kNow - seconds(181);
  EXPECT_EQ(OnlyChange(observed), "~ peer h2 10.88.0.2 of sab123w at 192.0.2.2:51820");
  // Another place to call it is told at once.
  peer.last_handshake = kNow - seconds(100);
  peer.told = E("192.0.2.77:51820");
  EXPECT_EQ(OnlyChange(observed), "~ peer h2 10.88.0.2 of sab123w at 192.0.2.2:51820");
  peer.told.reset();
  EXPECT_EQ(OnlyChange(observed), "~ peer h2 10.88.0.2 of sab123w at 192.0.2.2:51820");
  // Of one behind a NAT there is nothing to tell.
  observed = Made();
  observed.device->peers[1].endpoint = E("198.51.100.8:4711");
  EXPECT_TRUE(Plan(observed).empty());
}

TEST_F(FabricPlanTest, AnAddressGoesWithTheKeyThatWasUsedLast) {
  fabric_.peers[0].next_key = Peer(77).key;
  ObservedFabric observed = Made();
  EXPECT_EQ(OnlyChange(observed),
            "+ peer h2 with its other key of sab123w at 192.0.2.2:51820 kept alive every 25 s");
  ObservedPeer next;
  next.key = Peer(77).key;
  next.endpoint = next.told = fabric_.peers[0].endpoint;
  next.keepalive_s = kKeepaliveS;
  observed.device->peers.push_back(next);
  observed.device->peers[0].last_handshake = kNow - seconds(60);
  EXPECT_TRUE(Plan(observed).empty());
  observed.device->peers[2].last_handshake = kNow - seconds(60) + std::chrono::nanoseconds(1);
  const std::vector<std::string> moved = {
      "~ peer h2 with its other key of sab123w",
      "~ peer h2 10.88.0.2 of sab123w kept alive every 25 s",
  };
  EXPECT_EQ(Changes(observed), moved);
}

TEST_F(FabricPlanTest, WhatIsNotOursIsReplacedAndWhatIsNotWantedGoes) {
  ObservedFabric observed = Made();
  observed.has_device = false;
  observed.device.reset();
  FabricPlan plan = Plan(observed);
  EXPECT_TRUE(plan.remove);
  EXPECT_TRUE(plan.create);
  EXPECT_EQ(plan.change.set_peers.size(), 2u);
  EXPECT_TRUE(plan.remove_addresses.empty());

  plan = MakeFabricPlan(kInstance, std::nullopt, Made()).value();
  EXPECT_TRUE(plan.remove);
  EXPECT_FALSE(plan.create);
  EXPECT_EQ(plan.ruleset, RemovalOfFabricRuleset(kInstance));
  EXPECT_TRUE(MakeFabricPlan(kInstance, std::nullopt, bare_).value().empty());
}

TEST_F(FabricPlanTest, NonsenseIsRefusedWithItsNameAndARemedy) {
  const SecureFabric good = fabric_;
  const std::vector<std::pair<std::string, std::function<void(SecureFabric*)>>> cases = {
      {"h3: a copied state directory", [](auto* f) { f->peers[1].key = f->peers[0].key; }},
      {"this host and of h2", [](auto* f) { f->peers[0].key = f->key.Public().value(); }},
      {"h3: a copied state directory", [](auto* f) { f->peers[1].next_key = f->peers[0].key; }},
      {"10.88.0.2 is that of h2 and of h3: give",
       [](auto* f) { f->peers[1].address = f->peers[0].address; }},
      {"10.88.0.1 is that of this host and of h2",
       [](auto* f) { f->peers[0].address = f->address; }},
      {"endpoint 192.0.2.2:51820 is that of h2 and of h3",
       [](auto* f) { f->peers[1].endpoint = f->peers[0].endpoint; }},
      {"192.0.2.2:51820: that is this host", [](auto* f) { f->endpoint = f->peers[0].endpoint; }},
      {"10.89.0.2 of h2 is no host's of 10.88.0.0/16",
       [](auto* f) { f->peers[0].address = A("10.89.0.2"); }},
      {"10.88.255.255 of h2", [](auto* f) { f->peers[0].address = A("10.88.255.255"); }},
      {"this host's address 10.88.0.0", [](auto* f) { f->address = A("10.88.0.0"); }},
      {"10.88.7.7:51820: that is inside of the fabric",
       [](auto* f) { f->peers[0].endpoint = E("10.88.7.7:51820"); }},
      {"h2 cannot be called at 127.0.0.1:51820",
       [](auto* f) { f->peers[0].endpoint = E("127.0.0.1:51820"); }},
      {"h2 cannot be called at 192.0.2.2:0",
       [](auto* f) { f->peers[0].endpoint = E("192.0.2.2:0"); }},
      {"IPv6 costs 20 bytes more",
       [](auto* f) { f->peers[0].endpoint = E("[2001:db8::2]:51820"); }},
      {"h2 has no key", [](auto* f) { f->peers[0].key = {}; }},
      {"this host has no key", [](auto* f) { f->key = SecretKey(); }},
      {"MTU of 1339 leaves 1279 bytes", [](auto* f) { f->underlay_mtu = 1339; }},
      {"MTU of 1359 leaves 1279 bytes",
       [](auto* f) {
         f->underlay_mtu = 1359;
         f->has_ipv6_endpoints = true;
       }},
      {"there is no port 0", [](auto* f) { f->port = 0; }},
      {"10.88.0.1/32 must be",
       [](auto* f) {
         f->prefix = {f->address, 32};
       }},
      {"1025 other hosts", [](auto* f) { f->peers.resize(1025); }},
  };
  EXPECT_TRUE(CheckFabric(good).ok());
  for (const auto& [expected, change] : cases) {
    SecureFabric bad = good;
    change(&bad);
    const Status checked = CheckFabric(bad);
    ASSERT_FALSE(checked.ok()) << expected;
    EXPECT_EQ(checked.error().code(), Code::kInvalidArgument);
    EXPECT_NE(checked.error().message().find(expected), std::string::npos)
        << checked.error().message();
  }
}

TEST_F(FabricPlanTest, WhatTheHostHasAlreadyIsRefused) {
  ObservedFabric observed = bare_;
  observed.links[0].addresses.push_back({A("10.88.3.3"), 32});
  auto plan = MakeFabricPlan(kInstance, fabric_, observed);
  ASSERT_FALSE(plan.ok());
  EXPECT_NE(plan.error().message().find("eth0 has 10.88.3.3"), std::string::npos);
  observed = bare_;
  observed.links[0].addresses = {{A("192.0.2.2"), 32}};
  plan = MakeFabricPlan(kInstance, fabric_, observed);
  ASSERT_FALSE(plan.ok());
  EXPECT_NE(plan.error().message().find("this host's eth0"), std::string::npos);
  EXPECT_FALSE(MakeFabricPlan("cd456", fabric_, bare_).ok());
}

TEST_F(FabricPlanTest, TheMtuLeavesRoomForTheHeadersOfTheUnderlay) {
  EXPECT_EQ(FabricMtu(1500, false), 1440u);
  EXPECT_EQ(FabricMtu(1500, true), 1420u);
  EXPECT_EQ(FabricMtu(60, false), 0u);
  EXPECT_EQ(FabricMtu(0, true), 0u);
}

TEST_F(FabricPlanTest, TwoBehindNatsAreNamed) {
  EXPECT_TRUE(UnreachablePeers(fabric_).empty());
  fabric_.is_behind_nat = true;
  EXPECT_EQ(UnreachablePeers(fabric_), std::vector<std::string>{"h3"});
}

}  // namespace
}  // namespace strata::net
