#include <gtest/gtest.h>

#include "net/message.h"
#include "net/ruleset.h"
#include "tests/unit/net/policy.h"

namespace strata::net {
namespace {

TEST(NetworkMessage, KeepsAllThatIsPolicy) {
  DesiredNetwork desired = MakePolicy();
  for (BalancedForward& balanced : desired.bridges[0].balanced) {
    for (Target& target : balanced.targets) target.up = true;  // No part of what is wanted.
  }
  const auto read = ParseNetworks(FormatNetworks(desired));
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(MakeRuleset(*read), MakeRuleset(desired));
  EXPECT_EQ(FormatNetworks(*read), FormatNetworks(desired));
}

TEST(NetworkMessage, KeepsNamesAndResolvers) {
  DesiredNetwork desired = MakePolicy();
  desired.resolvers = {IpAddress::Parse("9.9.9.9").value(), IpAddress::Parse("::1").value()};
  desired.bridges[0].names = {
      "hpc",
      {{"web", {IpAddress::Parse("10.90.7.2").value(), IpAddress::Parse("fd00::2").value()}}}};
  const auto read = ParseNetworks(FormatNetworks(desired));
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(FormatNetworks(*read), FormatNetworks(desired));
  EXPECT_EQ(read->resolvers, desired.resolvers);
  ASSERT_EQ(read->bridges[0].names.names.size(), 1u);
  EXPECT_EQ(read->bridges[0].names.domain, "hpc");
  EXPECT_EQ(read->bridges[0].names.names[0].addresses, desired.bridges[0].names.names[0].addresses);
  v1::HostNetworks bad = ToMessage(desired);
  bad.mutable_networks(0)->mutable_names()->mutable_names(0)->set_name("Web");
  EXPECT_FALSE(FromMessage(bad).ok());
  bad = ToMessage(desired);
  bad.mutable_networks(0)->mutable_names()->mutable_names(0)->set_addresses(0, "web");
  EXPECT_FALSE(FromMessage(bad).ok());
}

TEST(NetworkMessage, RefusesPolicyThatSaysNothing) {
  const v1::HostNetworks good = ToMessage(MakePolicy());
  ASSERT_TRUE(FromMessage(good).ok());
  const auto refused = [&](const auto& spoil) {
    v1::HostNetworks bad = good;
    spoil(&bad);
    const auto read = FromMessage(bad);
    return !read.ok() && read.error().code() == Code::kInvalidArgument;
  };
  const auto rule = [](v1::HostNetworks* bad) {
    return bad->mutable_networks(0)->mutable_group_rules(0);
  };
  const auto balanced = [](v1::HostNetworks* bad) {
    return bad->mutable_networks(0)->mutable_balanced(0);
  };
  for (const char* pool6 : {"fd12::", "fd12::/48", "2001:db8::/40", "fd12:3456:78ff::/40", "x/40",
                            "10.0.0.0/40", "::ffff:10.0.0.0/40"}) {
    EXPECT_TRUE(refused([&](auto* bad) { bad->set_pool6(pool6); })) << pool6;
  }
  EXPECT_TRUE(refused([&](auto* bad) { rule(bad)->set_to_group(0); }));
  EXPECT_TRUE(refused([&](auto* bad) { rule(bad)->set_to_group(70000); }));
  EXPECT_TRUE(refused([&](auto* bad) { rule(bad)->set_from_group(0); }));
  EXPECT_TRUE(refused([&](auto* bad) { rule(bad)->set_port_first(91); }));
  EXPECT_TRUE(refused([&](auto* bad) { rule(bad)->set_port_last(65536); }));
  EXPECT_TRUE(
      refused([&](auto* bad) { rule(bad)->set_kind(static_cast<v1::GroupRule::Kind>(9)); }));
  EXPECT_TRUE(refused([&](auto* bad) { balanced(bad)->clear_targets(); }));
  EXPECT_TRUE(refused([&](auto* bad) { balanced(bad)->set_host_port(20000); }));
  EXPECT_TRUE(refused([&](auto* bad) { balanced(bad)->mutable_targets(0)->set_address("x"); }));
  const auto forward = [](v1::HostNetworks* bad) {
    return bad->mutable_networks(0)->mutable_remote_forwards(0);
  };
  EXPECT_TRUE(refused([&](auto* bad) { forward(bad)->set_host("x"); }));
  EXPECT_TRUE(refused([&](auto* bad) { forward(bad)->set_address("10.90.2.2"); }));
  EXPECT_TRUE(refused([&](auto* bad) { forward(bad)->set_node_port(65536); }));
  EXPECT_TRUE(
      refused([&](auto* bad) { forward(bad)->set_protocol(static_cast<v1::Protocol>(9)); }));
  EXPECT_TRUE(refused([&](auto* bad) { bad->mutable_user_limits(0)->set_bits_per_s_max(1); }));
  EXPECT_TRUE(refused([&](auto* bad) { *bad->add_user_limits() = bad->user_limits(0); }));
  EXPECT_TRUE(refused([&](auto* bad) { bad->mutable_networks(1)->set_prefix("10.90.1.0/24"); }));
}

v1::HostNetworks WithFabric() {
  v1::HostNetworks message;
  message.set_instance("1a2b3");
  message.set_pool("10.90.0.0/16");
  v1::Fabric* fabric = message.mutable_fabric();
  fabric->set_kind(v1::Fabric::ESP);
  fabric->set_prefix("10.88.0.0/16");
  fabric->set_address("10.88.0.1");
  fabric->set_port(51821);
  fabric->set_endpoint("192.0.2.1:51821");
  fabric->set_behind_nat(true);
  fabric->set_underlay_mtu(1400);
  fabric->set_ipv6_endpoints(true);
  const auto key = [](char fill) {
    PublicKey made;
    made.bytes.fill(static_cast<uint8_t>(fill));
    return made.ToString();
  };
  fabric->set_follow_key(key(1));
  fabric->set_use_key(key(2));
  v1::FabricPeer* peer = fabric->add_peers();
  peer->set_host("h2");
  peer->set_address("10.88.0.2");
  peer->set_key(key(3));
  peer->set_next_key(key(4));
  peer->set_session(key(5));
  peer->set_endpoint("[2001:db8::2]:51820");
  v1::Network* network = message.add_networks();
  network->set_number(7);
  network->set_prefix("10.90.7.0/24");
  network->mutable_overlay()->set_local("10.88.0.1");
  return message;
}

TEST(NetworkMessage, KeepsAllOfAFabricAndFitsOverlaysIntoIt) {
  v1::HostNetworks message = WithFabric();
  const auto read = FromMessage(message);
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(ToMessage(*read).fabric().SerializeAsString(), message.fabric().SerializeAsString());
  EXPECT_EQ(read->bridges[0].mtu(), 1400u - 80 - 50);
}

TEST(NetworkMessage, RefusesAFabricThatCannotBe) {
  const auto refused = [&](const auto& spoil) {
    v1::HostNetworks bad = WithFabric();
    spoil(&bad);
    const auto read = FromMessage(bad);
    return !read.ok() && read.error().code() == Code::kInvalidArgument;
  };
  const auto peer = [](v1::HostNetworks* bad) { return bad->mutable_fabric()->mutable_peers(0); };
  EXPECT_TRUE(refused([&](auto* bad) { peer(bad)->set_key("x"); }));
  EXPECT_TRUE(refused([&](auto* bad) { peer(bad)->set_endpoint("host:1"); }));
  EXPECT_TRUE(refused([&](auto* bad) { peer(bad)->set_address(""); }));
  EXPECT_TRUE(refused([&](auto* bad) { bad->mutable_fabric()->set_use_key("AAAA"); }));
  EXPECT_TRUE(refused([&](auto* bad) { bad->mutable_fabric()->set_port(70000); }));
  EXPECT_TRUE(refused([&](auto* bad) { bad->mutable_fabric()->set_prefix("10.90.0.0/20"); }));
  EXPECT_TRUE(refused(
      [&](auto* bad) { bad->mutable_fabric()->set_kind(static_cast<v1::Fabric::Kind>(7)); }));
  EXPECT_TRUE(refused(
      [&](auto* bad) { bad->mutable_networks(0)->mutable_overlay()->set_local("10.88.0.9"); }));
  EXPECT_TRUE(refused(
      [&](auto* bad) { bad->mutable_networks(0)->mutable_overlay()->set_underlay_mtu(1321); }));
}

}  // namespace
}  // namespace strata::net
