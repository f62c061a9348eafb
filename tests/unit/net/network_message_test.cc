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
  EXPECT_TRUE(refused([&](auto* bad) { bad->mutable_user_limits(0)->set_bits_per_s_max(1); }));
  EXPECT_TRUE(refused([&](auto* bad) { *bad->add_user_limits() = bad->user_limits(0); }));
  EXPECT_TRUE(refused([&](auto* bad) { bad->mutable_networks(1)->set_prefix("10.90.1.0/24"); }));
}

}  // namespace
}  // namespace strata::net
