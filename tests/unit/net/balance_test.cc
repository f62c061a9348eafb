// One port of a host that leads to many nodes.
#include <gtest/gtest.h>
#include <poll.h>

#include <map>

#include "net/rule_counters.h"
#include "tests/unit/net/frames.h"
#include "tests/unit/net/test_host.h"

namespace strata::net {
namespace {

constexpr char kHostAddress[] = "192.0.2.1";
constexpr char kOtherHost[] = "192.0.2.2";
constexpr uint16_t kPort = 20000;
constexpr uint16_t kSticky = 20001;

Ipv4 A(const std::string& text) { return Ipv4::Parse(text).value(); }

// Three nodes with one service each, and a second host whose port 20000 leads to a node of its own.
class BalanceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Join(host_.space, "up0", std::string(kHostAddress) + "/24", outside_, "eth0",
         std::string(kOtherHost) + "/24");
    Bridge& bridge = host_.AddBridge(1);
    bridge.overlay = {.vni = 1, .local = A(kHostAddress)};
    const Ipv4 remote = bridge.prefix.Host(kFirstNodeHost + 9);
    bridge.overlay->remotes = {{remote, MacForNode(1, remote), A(kOtherHost)}};
    std::vector<Target> targets;
    for (const uint32_t index : {0u, 1u, 2u}) {
      targets.push_back({bridge.prefix.Host(kFirstNodeHost + index), 80});
    }
    bridge.balanced = {{Protocol::kTcp, kPort, false, targets},
                       {Protocol::kTcp, kSticky, true, targets}};
    host_.Apply();
    for (const uint32_t index : {0u, 1u, 2u}) nodes_.push_back(host_.AddNode(1, index));
    host_.Apply();
  }
  BalancedForward& forward(size_t which = 0) { return host_.desired.bridges[0].balanced[which]; }

  // How often each node was reached by `count` connections, and that all were.
  std::map<std::string, unsigned> Reached(const NetNamespace& from, const std::string& address,
                                          uint16_t port, unsigned count) {
    std::vector<UniqueFd> servers;
    for (const TestNode& node : nodes_) {
      servers.push_back(OpenServer(node.space, Protocol::kTcp, 80));
    }
    std::map<std::string, unsigned> reached;
    for (unsigned i = 0; i < count; ++i) {
      const UniqueFd client(
          from.In([] { return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }));
      SetPatience(client, kAnswer);
      const sockaddr_in to = Address(address, port);
      if (::connect(client.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
        ADD_FAILURE() << "connection " << i;
        return reached;
      }
      for (size_t node = 0; node < servers.size(); ++node) {
        pollfd entry = {servers[node].get(), POLLIN, 0};
        if (::poll(&entry, 1, 0) != 1) continue;
        const UniqueFd served(::accept(servers[node].get(), nullptr, nullptr));
        ++reached[nodes_[node].address];
      }
    }
    return reached;
  }

  TestHost host_;
  NetNamespace outside_;
  std::vector<TestNode> nodes_;
};

TEST_F(BalanceTest, EachConnectionGoesToTheNextTarget) {
  const std::map<std::string, unsigned> evenly = {
      {nodes_[0].address, 2}, {nodes_[1].address, 2}, {nodes_[2].address, 2}};
  EXPECT_EQ(Reached(outside_, kHostAddress, kPort, 6), evenly);
  EXPECT_EQ(Reached(host_.space, "127.0.0.1", kPort, 6), evenly) << "from the host";
  EXPECT_EQ(Reached(nodes_[0].space, kHostAddress, kPort, 6), evenly) << "from a target";
}

TEST_F(BalanceTest, ASenderStaysAtItsTargetWhenItIsSticky) {
  const auto reached = Reached(outside_, kHostAddress, kSticky, 6);
  ASSERT_EQ(reached.size(), 1u);
  EXPECT_EQ(reached.begin()->second, 6u);
  std::map<std::string, unsigned> all;
  for (int i = 10; i < 40; ++i) {
    const std::string address = "192.0.2." + std::to_string(i);
    outside_.Ip({"addr", "add", address + "/32", "dev", "eth0"});
    outside_.Ip(
        {"route", "replace", std::string(kHostAddress) + "/32", "dev", "eth0", "src", address});
    for (const auto& [node, count] : Reached(outside_, kHostAddress, kSticky, 1))
      all[node] += count;
  }
  EXPECT_EQ(all.size(), 3u) << "many senders use all";
}

TEST_F(BalanceTest, WhatIsDownIsLeftOutUnlessAllIs) {
  forward().targets[1].up = false;
  host_.Apply();
  const std::map<std::string, unsigned> two = {{nodes_[0].address, 3}, {nodes_[2].address, 3}};
  EXPECT_EQ(Reached(outside_, kHostAddress, kPort, 6), two);
  for (Target& target : forward().targets) target.up = false;
  host_.Apply();
  EXPECT_EQ(Reached(outside_, kHostAddress, kPort, 6).size(), 3u);
}

TEST_F(BalanceTest, AnotherHostsPortIsATargetToo) {
  const UniqueFd there = OpenServer(outside_, Protocol::kTcp, kPort, kOtherHost);
  forward().targets = {{A(kOtherHost), kPort}};
  host_.Apply();
  // A third machine, behind the host: it would not take answers from who was not asked.
  NetNamespace client;
  Join(host_.space, "up1", "198.51.100.1/24", client, "eth0", "198.51.100.2/24");
  EXPECT_EQ(AskWho(client, Protocol::kTcp, "198.51.100.1", kPort, there), A(kHostAddress));
  EXPECT_EQ(AskWho(nodes_[0].space, Protocol::kTcp, kHostAddress, kPort, there), A(kHostAddress));
}

TEST_F(BalanceTest, ForwardsAreCountedInBothDirections) {
  (void)Reached(outside_, kHostAddress, kPort, 3);
  const auto counters = host_.space.In([] { return ReadCounters(TestHost::kInstance).value(); });
  std::map<std::string, uint64_t> packets;
  for (const RuleCounter& one : counters) {
    packets[one.name] = one.packets;
    EXPECT_EQ(one.bytes > 0, one.packets > 0) << one.name;
  }
  EXPECT_GE(packets["forward.tcp.20000.in"], 6u) << "three SYNs and three ACKs";
  EXPECT_GE(packets["forward.tcp.20000.out"], 3u);
  EXPECT_EQ(packets["forward.tcp.20001.in"], 0u);
}

TEST(Balanced, TargetsMustBeWhereTheyCanBe) {
  const auto checked = [](const std::vector<Target>& targets, Protocol protocol = Protocol::kTcp) {
    DesiredNetwork desired;
    desired.instance = "1a2b3";
    desired.bridges = {MakeBridge("1a2b3", 1, Ipv4Prefix::Parse("10.90.1.0/24").value())};
    Bridge& bridge = desired.bridges[0];
    bridge.overlay = {.vni = 1, .local = A(kHostAddress)};
    bridge.overlay->remotes = {{A("10.90.1.9"), MacForNode(1, A("10.90.1.9")), A(kOtherHost)}};
    bridge.forwards = {{Protocol::kTcp, 20009, A("10.90.1.2"), 80}};
    bridge.balanced = {{protocol, 20000, false, targets}};
    const Status status = CheckDesired(desired);
    return status.ok() ? std::string("fine") : status.error().message();
  };
  EXPECT_EQ(checked({{A("10.90.1.2"), 80}, {A("10.90.1.2"), 81}, {A(kOtherHost), 20000}}), "fine");
  for (const auto& targets : std::vector<std::vector<Target>>{
           {},
           std::vector<Target>(kTargetsMax + 1, Target{A("10.90.1.2"), 80}),
           {{A("10.90.1.2"), 0}},
           {{A("10.90.1.2"), 80}, {A("10.90.1.2"), 80}},
           {{A("10.90.1.9"), 80}},
           {{A("10.90.1.1"), 80}},
           {{A("192.0.2.77"), 80}}}) {
    EXPECT_NE(checked(targets), "fine") << targets.size();
  }
  EXPECT_NE(checked({{A("10.90.1.9"), 80}}).find("another host"), std::string::npos);
}

}  // namespace
}  // namespace strata::net
