// Who reaches whom within a Vcluster, on one host and from another.
#include <gtest/gtest.h>

#include "net/rule_counters.h"
#include "tests/unit/net/frames.h"
#include "tests/unit/net/test_host.h"

namespace strata::net {
namespace {

using From = GroupRule::From;
using Kind = GroupRule::Kind;

constexpr uint32_t kWeb = 1;
constexpr uint32_t kData = 2;
constexpr char kOutsider[] = "192.0.2.99";

Ipv4 A(const std::string& text) { return Ipv4::Parse(text).value(); }
std::string HostAddress(int host) { return "192.0.2." + std::to_string(host + 1); }

// web, data and other are on the first host, far_web and far_data on the second.
class GroupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fabric_.Ip({"link", "add", "br0", "type", "bridge"});
    fabric_.Ip({"addr", "add", std::string(kOutsider) + "/24", "dev", "br0"});
    fabric_.Ip({"link", "set", "br0", "up"});
    for (int host = 0; host < 2; ++host) {
      const std::string port = "h" + std::to_string(host);
      Join(hosts_[host].space, "up0", HostAddress(host) + "/24", fabric_, port, "");
      fabric_.Ip({"link", "set", port, "master", "br0"});
      Bridge& bridge = hosts_[host].AddBridge(1);
      bridge.overlay = {.vni = 1, .local = A(HostAddress(host))};
      for (uint32_t node = 0; node < kGroups.size(); ++node) {
        if (HostOf(node) == host) continue;
        const Ipv4 address = bridge.prefix.Host(kFirstNodeHost + node);
        bridge.overlay->remotes.push_back(
            {address, MacForNode(1, address), A(HostAddress(1 - host)), kGroups[node]});
      }
      bridge.group_rules = {{From::kGroup, kWeb, kData, Kind::kTcp, 80, 81},
                            {From::kOutside, 0, kData, Kind::kTcp, 8080, 8080},
                            {From::kAny, 0, kData, Kind::kUdp, 53, 53}};
    }
    Bridge& first = hosts_[0].desired.bridges[0];
    first.forwards = {{Protocol::kTcp, 20000, first.prefix.Host(3), 8080},
                      {Protocol::kTcp, 20001, first.prefix.Host(3), 80}};
    for (TestHost& host : hosts_) host.Apply();
    for (uint32_t node = 0; node < kGroups.size(); ++node) {
      TestHost& host = hosts_[HostOf(node)];
      nodes_.push_back(host.AddNode(1, node));
      host.desired.veths.back().group = kGroups[node];
    }
    for (TestHost& host : hosts_) host.Apply();
  }

  static constexpr std::array<uint32_t, 5> kGroups = {kWeb, kData, 0, kWeb, kData};
  static int HostOf(uint32_t node) { return node < 3 ? 0 : 1; }

  const TestNode& web() const { return nodes_[0]; }
  const TestNode& data() const { return nodes_[1]; }
  const TestNode& other() const { return nodes_[2]; }
  const TestNode& far_web() const { return nodes_[3]; }
  const TestNode& far_data() const { return nodes_[4]; }

  // What is asked of it comes through, and its answer back; at both of its addresses, when it is
  // expected to, otherwise at any of them.
  static bool Reaches(const NetNamespace& from, const TestNode& to, uint16_t port,
                      Protocol protocol = Protocol::kTcp, bool expected = true) {
    const UniqueFd server = OpenServer(to.space, protocol, port, "::");
    for (const std::string& address : {to.address, to.address6}) {
      const auto asked =
          AskWho(from, protocol, address, port, server, expected ? kAnswer : kSilence);
      if (asked.has_value() != expected) return !expected;
    }
    return expected;
  }
  static bool IsKeptFrom(const NetNamespace& from, const TestNode& to, uint16_t port,
                         Protocol protocol = Protocol::kTcp) {
    return !Reaches(from, to, port, protocol, false);
  }

  NetNamespace fabric_;
  std::array<TestHost, 2> hosts_;
  std::vector<TestNode> nodes_;
};

TEST_F(GroupTest, AClosedGroupIsReachedByItsRulesOnly) {
  for (const TestNode* to : {&data(), &far_data()}) {
    for (const TestNode* from : {&web(), &far_web()}) {
      EXPECT_TRUE(Reaches(from->space, *to, 80)) << from->address << to->address;
      EXPECT_TRUE(Reaches(from->space, *to, 81)) << from->address << to->address;
      EXPECT_TRUE(IsKeptFrom(from->space, *to, 82)) << from->address << to->address;
      EXPECT_TRUE(IsKeptFrom(from->space, *to, 8080)) << from->address << to->address;
      EXPECT_TRUE(Reaches(from->space, *to, 53, Protocol::kUdp)) << from->address << to->address;
      EXPECT_TRUE(IsKeptFrom(from->space, *to, 80, Protocol::kUdp)) << from->address;
    }
    EXPECT_TRUE(IsKeptFrom(other().space, *to, 80)) << to->address;
    EXPECT_TRUE(Reaches(other().space, *to, 53, Protocol::kUdp)) << to->address;
  }
  EXPECT_TRUE(IsKeptFrom(data().space, far_data(), 80)) << "of the same group";
  EXPECT_FALSE(PingOnce(web().space, data().address, kSilence));
  EXPECT_FALSE(PingOnce(web().space, data().address6, kSilence));
  const auto counters =
      hosts_[0].space.In([] { return ReadCounters(TestHost::kInstance).value(); });
  const auto counter = std::find_if(counters.begin(), counters.end(),
                                    [](const RuleCounter& one) { return one.name == "group.1.2"; });
  ASSERT_NE(counter, counters.end());
  EXPECT_GT(counter->packets, 0u);
}

TEST_F(GroupTest, WhatItsNodesBeginPassesWithItsAnswers) {
  for (const TestNode* to : {&web(), &other(), &far_web()}) {
    EXPECT_TRUE(Reaches(data().space, *to, 7000)) << to->address;
    EXPECT_TRUE(Reaches(data().space, *to, 7000, Protocol::kUdp)) << to->address;
    EXPECT_TRUE(PingOnce(data().space, to->address)) << to->address;
    EXPECT_TRUE(PingOnce(data().space, to->address6)) << to->address6;
  }
  EXPECT_TRUE(PingOnce(data().space, "10.90.1.1"));
  EXPECT_TRUE(PingOnce(data().space, hosts_[0].desired.bridges[0].gateway6().ToString()));
  for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
    const UniqueFd server = OpenServer(fabric_, protocol, 7000);
    EXPECT_TRUE(AskWho(data().space, protocol, kOutsider, 7000, server).has_value());
  }
}

TEST_F(GroupTest, AnOpenGroupIsReachedByAll) {
  for (const TestNode* from : {&data(), &other(), &far_web(), &far_data()}) {
    EXPECT_TRUE(Reaches(from->space, web(), 7000)) << from->address;
    EXPECT_TRUE(PingOnce(from->space, web().address)) << from->address;
    EXPECT_TRUE(PingOnce(from->space, web().address6)) << from->address6;
  }
}

TEST_F(GroupTest, ForwardsAndTheHostAreOutside) {
  const auto forward = [&](const NetNamespace& from, uint16_t host_port, uint16_t port,
                           std::chrono::milliseconds patience) {
    const UniqueFd server = OpenServer(data().space, Protocol::kTcp, port);
    return AskWho(from, Protocol::kTcp, HostAddress(0), host_port, server, patience).has_value();
  };
  EXPECT_TRUE(forward(fabric_, 20000, 8080, kAnswer));
  EXPECT_FALSE(forward(fabric_, 20001, 80, kSilence)) << "to a port for groups only";
  EXPECT_TRUE(Reaches(hosts_[0].space, data(), 8080));
  EXPECT_TRUE(IsKeptFrom(hosts_[0].space, data(), 80));
  // Through the host a node comes from outside, also when rules of inet see bridged frames.
  for (const char* bridged : {"1", "0"}) {
    hosts_[0].space.Set("net/bridge/bridge-nf-call-iptables", bridged);
    EXPECT_TRUE(forward(web().space, 20000, 8080, kAnswer)) << bridged;
    EXPECT_TRUE(IsKeptFrom(web().space, data(), 8080)) << bridged;
    EXPECT_TRUE(Reaches(web().space, data(), 80)) << bridged;
  }
}

TEST_F(GroupTest, ANodeThatChangesItsGroupIsUnderTheRulesOfTheNewOne) {
  ASSERT_TRUE(IsKeptFrom(other().space, data(), 80));
  hosts_[0].desired.veths[2].group = kWeb;
  hosts_[0].Apply();
  EXPECT_TRUE(Reaches(other().space, data(), 80));
  hosts_[0].desired.veths[2].group = kData;
  hosts_[0].Apply();
  EXPECT_TRUE(IsKeptFrom(web().space, other(), 82));
  for (TestHost& host : hosts_) {
    host.desired.bridges[0].group_rules.clear();
    host.Apply();
  }
  EXPECT_TRUE(Reaches(other().space, data(), 82));
  EXPECT_TRUE(Reaches(far_web().space, other(), 82));
}

TEST_F(GroupTest, LongDatagramsPassInTheirFragments) {
  const UniqueFd server = OpenServer(data().space, Protocol::kUdp, 53, "::");
  SetPatience(server, kAnswer);
  const std::string payload(4000, 'x');
  for (const std::string& address : {data().address, data().address6}) {
    const SocketAddress to = SocketAddressOf(address, 53);
    const UniqueFd client(
        web().space.In([&] { return ::socket(to.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0); }));
    // Rules of inet that see bridged frames see them put together.
    for (const char* bridged : {"1", "0"}) {
      hosts_[0].space.Set("net/bridge/bridge-nf-call-iptables", bridged);
      hosts_[0].space.Set("net/bridge/bridge-nf-call-ip6tables", bridged);
      ASSERT_EQ(::sendto(client.get(), payload.data(), payload.size(), 0, to.get(), to.size), 4000);
      std::string received(65536, '\0');
      EXPECT_EQ(::recv(server.get(), received.data(), received.size(), 0), 4000)
          << address << " " << bridged;
    }
  }
}

}  // namespace
}  // namespace strata::net
