#include "vclusterd/host/node_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::vcluster {
namespace {

using ::testing::ElementsAre;

void AddPeer(host::v1::Part* part, const std::string& hostname, const std::string& address,
             const std::vector<std::string>& aliases) {
  host::v1::Peer* const peer = part->add_peers();
  peer->set_hostname(hostname);
  peer->set_address(address);
  for (const std::string& alias : aliases) peer->add_aliases(alias);
}

net::Bridge Network(bool has_ipv6) {
  const auto prefix = net::Ipv4Prefix::Parse("10.90.7.0/24").value();
  const auto pool6 = net::ParsePool6("fd12:3456:7800::/40").value();
  return net::MakeBridge("1a2b3", 7, prefix, has_ipv6 ? std::optional(pool6) : std::nullopt);
}

std::vector<std::string> TextOf(const net::HostNames& names) {
  std::vector<std::string> out;
  for (const net::HostName& name : names.names) {
    out.push_back(name.name);
    for (const net::IpAddress& address : name.addresses) out.back() += " " + address.ToString();
  }
  return out;
}

TEST(NodeNames, AreThoseOfEtcHostsWithHostnamesFirst) {
  host::v1::Part part;
  part.set_cluster("Hpc");
  AddPeer(&part, "web-0", "10.90.7.2", {"web-0.Hpc", "Hpc-web-0", "web"});
  AddPeer(&part, "web-1", "10.90.7.3", {"web-1.Hpc", "Hpc-web-1", "web"});
  const net::HostNames names = NamesOf(part, Network(false));
  EXPECT_EQ(names.domain, "hpc");
  EXPECT_THAT(TextOf(names),
              ElementsAre("web-0 10.90.7.2", "web-1 10.90.7.3", "hpc-web-0 10.90.7.2",
                          "web 10.90.7.2 10.90.7.3", "hpc-web-1 10.90.7.3"));
  EXPECT_TRUE(net::CheckHostNames(names).ok());
}

TEST(NodeNames, HaveBothAddressesOfNodesThatHaveIpv6) {
  host::v1::Part part;
  part.set_cluster("hpc");
  AddPeer(&part, "web-0", "10.90.7.2", {});
  EXPECT_THAT(TextOf(NamesOf(part, Network(true))),
              ElementsAre("web-0 10.90.7.2 fd12:3456:7800:7::2"));
}

TEST(NodeNames, WhatIsNoNameOfDnsIsLeftOut) {
  host::v1::Part part;
  part.set_cluster("a b");
  AddPeer(&part, "x", "10.90.7.2", {"no name", "y"});
  const net::HostNames names = NamesOf(part, Network(false));
  EXPECT_EQ(names.domain, "");
  EXPECT_THAT(TextOf(names), ElementsAre("x 10.90.7.2", "y 10.90.7.2"));
}

}  // namespace
}  // namespace strata::vcluster
