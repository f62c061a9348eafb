// What a node that moves to another host keeps, by each driver: its connections, also those through
// a port of the host that it was on, and nothing that would be others'.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <sstream>

#include "net/connections.h"
#include "net/rule_counters.h"
#include "tests/unit/net/conformance/world.h"
#include "tests/unit/net/frames.h"
#include "tests/unit/net/traffic.h"

namespace strata::net {
namespace {

using Node = World::Node;
using std::chrono::milliseconds;

constexpr Node kMoving = {1, 0};     // On host 0 at first, as…
constexpr Node kNeighbour = {1, 1};  // …this one.
constexpr Node kFar = {1, 2};        // On host 1.
constexpr Node kOther = {2, 0};      // Of another network, on host 0, and…
constexpr Node kOtherFar = {2, 1};   // …on host 1.
constexpr int kHosts = 3;
constexpr char kOutside[] = "192.0.2.254";
constexpr uint16_t kTcpPort = 20080;  // Of host 0, and…
constexpr uint16_t kTcpOfNode = 80;   // …where they lead to.
constexpr uint16_t kUdpPort = 20053;
constexpr uint16_t kUdpOfNode = 53;
// Until TCP has sent again what was lost.
constexpr milliseconds kPatience(20'000);

class MoveTest : public ::testing::TestWithParam<Means> {
 protected:
  void SetUp() override {
    world_.emplace(GetParam(), kHosts);
    world_->AddNetwork(1);
    world_->AddNetwork(2);
    for (const Node& node : {kMoving, kNeighbour, kOther}) world_->AddNode(node, 0);
    for (const Node& node : {kFar, kOtherFar}) world_->AddNode(node, 1);
    world_->AddForward(0, kMoving, {Protocol::kTcp, kTcpPort, {}, kTcpOfNode});
    world_->AddForward(0, kMoving, {Protocol::kUdp, kUdpPort, {}, kUdpOfNode});
    world_->Settle();
  }
  const NetNamespace& Moving() const { return world_->SpaceOf(kMoving); }
  const NetNamespace& Outside() const { return world_->fabric(); }
  std::unique_ptr<Connection> Tcp(const NetNamespace& from, const std::string& host) const {
    return std::make_unique<Connection>(from, host, kTcpPort, Moving(), kTcpOfNode);
  }
  std::unique_ptr<Connection> Udp(const NetNamespace& from, const std::string& host) const {
    return std::make_unique<Connection>(from, host, kUdpPort,
                                        OpenServer(Moving(), Protocol::kUdp, kUdpOfNode));
  }
  uint64_t Connections(Protocol protocol) const {
    const bool tcp = protocol == Protocol::kTcp;
    Forward forward{protocol, tcp ? kTcpPort : kUdpPort, {}, tcp ? kTcpOfNode : kUdpOfNode};
    forward.address = Ipv4::Parse(World::AddressOf(kMoving)).value();
    const auto count = world_->HostSpace(0).In([&] { return CountConnections(forward); });
    EXPECT_TRUE(count.ok()) << count.error().message();
    return count.value_or(0);
  }
  uint64_t CountOf(int host, const std::string& counter) const {
    const auto counters = world_->HostSpace(host).In([] { return ReadCounters(World::kInstance); });
    for (const RuleCounter& one : *counters) {
      if (one.name == counter) return one.packets;
    }
    return 0;
  }

  std::optional<World> world_;
};

TEST_P(MoveTest, ConnectionsThroughAPortOfTheHostGoOn) {
  const std::string host = World::HostAddress(0);
  std::map<std::string, std::unique_ptr<Connection>> connections;
  connections["from outside"] = Tcp(Outside(), host);
  connections["from another network of the host"] = Tcp(world_->SpaceOf(kOther), host);
  connections["from another network of another host"] = Tcp(world_->SpaceOf(kOtherFar), host);
  connections["from a node of its network"] = Tcp(world_->SpaceOf(kNeighbour), host);
  connections["from a node of its network elsewhere"] = Tcp(world_->SpaceOf(kFar), host);
  connections["from the host"] = Tcp(world_->HostSpace(0), "127.0.0.1");
  connections["by UDP"] = Udp(Outside(), host);
  connections["inside"] = std::make_unique<Connection>(
      world_->SpaceOf(kNeighbour), World::AddressOf(kMoving), kTcpOfNode, Moving(), kTcpOfNode);
  for (auto& [name, connection] : connections) ASSERT_TRUE(connection->Works(kPatience)) << name;
  for (const int to : {1, 2, 0, 1}) {
    world_->MoveNode(kMoving, to);
    for (auto& [name, connection] : connections) {
      EXPECT_TRUE(connection->Answers(kPatience)) << name << ", to host " << to;
      EXPECT_TRUE(connection->Works(kPatience)) << name << ", to host " << to;
    }
    world_->ExpectAllAreDone();
  }
  EXPECT_EQ(CountOf(0, "stray_answer"), 0u);
}

// From host to host with a forward at each of them, to the same port of the node.
TEST_P(MoveTest, ConnectionsOfSeveralHostsAreToldApart) {
  std::vector<std::unique_ptr<Connection>> connections;
  for (const int to : {1, 2}) {
    const std::string host = World::HostAddress(to - 1);
    connections.push_back(Tcp(Outside(), host));
    ASSERT_TRUE(connections.back()->Works(kPatience));
    if (to == 1) connections.push_back(Udp(Outside(), host));
    ASSERT_TRUE(connections.back()->Works(kPatience));
    world_->AddForward(to, kMoving, {Protocol::kTcp, kTcpPort, {}, kTcpOfNode});
    world_->AddForward(to, kMoving, {Protocol::kUdp, kUdpPort, {}, kUdpOfNode});
    world_->MoveNode(kMoving, to);
  }
  connections.push_back(Tcp(Outside(), World::HostAddress(2)));
  for (size_t i = 0; i < connections.size(); ++i) {
    EXPECT_TRUE(connections[i]->Answers(kPatience)) << i;
    EXPECT_TRUE(connections[i]->Works(kPatience)) << i;
  }
  EXPECT_GT(CountOf(0, "stray_answer"), 0u) << "of the other host's";
}

// What was sent from the port before is taken for a connection that the node began by that host.
TEST_P(MoveTest, WhatAHostHasSeenOfTheNodeBeforeDoesNotMisleadIt) {
  world_->RemoveForwards();
  world_->MoveNode(kMoving, 1);
  const UniqueFd server = OpenServer(Moving(), Protocol::kUdp, kUdpOfNode);
  const UniqueFd client = OpenServer(Outside(), Protocol::kUdp, 5555);
  SetPatience(server, kSilence);
  SetPatience(client, kSilence);
  char number = 0;
  // What is sent to `to` arrives at `at`, whatever is there twice from before; who has sent it.
  const auto pass = [&](const UniqueFd& from, const sockaddr_in& to, const UniqueFd& at) {
    ++number;
    for (int tries = 0; tries < 20; ++tries) {
      ::sendto(from.get(), &number, 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
      sockaddr_in sender = {};
      socklen_t size = sizeof(sender);
      char seen = 0;
      while (::recvfrom(at.get(), &seen, 1, 0, reinterpret_cast<sockaddr*>(&sender), &size) == 1) {
        if (seen == number) return std::optional(sender);
      }
    }
    return std::optional<sockaddr_in>();
  };
  const auto as_seen = pass(server, Address(kOutside, 5555), client);
  ASSERT_TRUE(as_seen.has_value());
  ASSERT_EQ(ntohl(as_seen->sin_addr.s_addr), Ipv4::Parse(World::HostAddress(1))->value);
  ASSERT_TRUE(pass(client, *as_seen, server).has_value());
  world_->AddForward(0, kMoving, {Protocol::kUdp, kUdpPort, {}, kUdpOfNode});
  world_->Settle();
  const auto asked = pass(client, Address(World::HostAddress(0), kUdpPort), server);
  ASSERT_TRUE(asked.has_value());
  const auto answered = pass(server, *asked, client);
  ASSERT_TRUE(answered.has_value());
  EXPECT_EQ(ntohl(answered->sin_addr.s_addr), Ipv4::Parse(World::HostAddress(0))->value);
  EXPECT_EQ(ntohs(answered->sin_port), kUdpPort);
}

TEST_P(MoveTest, ItDoesNotMatterWhetherBridgedFramesAreFiltered) {
  constexpr char kSetting[] = "net/bridge/bridge-nf-call-iptables";
  const bool can_be = PathExists(std::string("/proc/sys/") + kSetting);  // The module br_netfilter.
  for (const char* filtered : {"0", "1"}) {
    SCOPED_TRACE(filtered);
    for (int host = 0; can_be && host < kHosts; ++host) {
      world_->HostSpace(host).Set(kSetting, filtered);
    }
    auto outside = Tcp(Outside(), World::HostAddress(0));
    auto inside = Tcp(world_->SpaceOf(kNeighbour), World::HostAddress(0));
    ASSERT_TRUE(outside->Works());
    ASSERT_TRUE(inside->Works());
    for (const int to : {1, 0}) {
      world_->MoveNode(kMoving, to);
      // Twice: after the first, the node's host has seen both directions.
      for (int times = 0; times < 2; ++times) {
        EXPECT_TRUE(outside->Works(kPatience)) << to;
        EXPECT_TRUE(inside->Answers(kPatience)) << to;
      }
    }
  }
}

TEST_P(MoveTest, APortOfTheHostIsLeftWhenItHasNoConnections) {
  const std::string host = World::HostAddress(0);
  auto first = Tcp(Outside(), host);
  ASSERT_TRUE(first->Works());
  world_->MoveNode(kMoving, 1);
  auto second = Tcp(Outside(), host);
  EXPECT_TRUE(second->Works(kPatience)) << "the port leads there still";
  EXPECT_TRUE(Udp(Outside(), host)->Works(kPatience));
  EXPECT_EQ(Connections(Protocol::kTcp), 2u);
  EXPECT_EQ(Connections(Protocol::kUdp), 1u);
  world_->EndForwards();
  world_->Settle();
  EXPECT_FALSE(Tcp(Outside(), host)->Works());
  EXPECT_TRUE(first->Works());
  EXPECT_TRUE(second->Answers());
  EXPECT_EQ(Connections(Protocol::kTcp), 2u);
  second.reset();
  first.reset();
  const auto until = std::chrono::steady_clock::now() + kAnswer;
  while (Connections(Protocol::kTcp) != 0 && std::chrono::steady_clock::now() < until) {
  }
  EXPECT_EQ(Connections(Protocol::kTcp), 0u);
  world_->RemoveForwards();
  world_->Settle();
  world_->ExpectAllAreDone();
}

// Nobody is told by the node that it has moved, and nobody needs to be.
TEST_P(MoveTest, ANodeThatSaysNothingIsReached) {
  const auto sent = [&] {
    return Moving().In([] { return ReadFile("/proc/thread-self/net/dev", 1 << 20).value(); });
  };
  Moving().Set("net/ipv6/conf/default/disable_ipv6", "1");
  const UniqueFd server = OpenServer(Moving(), Protocol::kUdp, kUdpOfNode);
  SetPatience(server, kSilence);
  const auto send = [](const UniqueFd& from, const std::string& address, uint16_t port) {
    const sockaddr_in to = Address(address, port);
    char byte = 'x';
    return ::sendto(from.get(), &byte, 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
  };
  const auto open = [](const NetNamespace& where) {
    return where.In([] { return UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); });
  };
  const std::string address = World::AddressOf(kMoving);
  const std::vector<std::tuple<UniqueFd, std::string, uint16_t>> senders = [&] {
    std::vector<std::tuple<UniqueFd, std::string, uint16_t>> all;
    all.emplace_back(open(world_->SpaceOf(kNeighbour)), address, kUdpOfNode);
    all.emplace_back(open(world_->SpaceOf(kFar)), address, kUdpOfNode);
    all.emplace_back(open(Outside()), World::HostAddress(0), kUdpPort);
    return all;
  }();
  for (const int to : {0, 1, 2, 0}) {
    if (to != 0) world_->MoveNode(kMoving, to);
    for (size_t i = 0; i < senders.size(); ++i) {
      const auto& [fd, where, port] = senders[i];
      bool heard = false;
      for (int tries = 0; !heard && tries < 20; ++tries) {
        ASSERT_EQ(send(fd, where, port), 1);
        char byte = 0;
        heard = ::recv(server.get(), &byte, 1, 0) == 1;
      }
      EXPECT_TRUE(heard) << "sender " << i << ", on host " << to;
    }
    if (to == 1 || to == 2) {
      const std::string device = sent();
      const size_t eth0 = device.find("eth0:");
      ASSERT_NE(eth0, device.npos);
      std::istringstream columns(device.substr(eth0 + 5));
      std::vector<uint64_t> numbers(10);
      for (uint64_t& number : numbers) columns >> number;
      EXPECT_EQ(numbers[9], 0u) << "it has sent something";
    }
  }
}

// The other host knows its connections, and whose they are.
TEST_P(MoveTest, ANodeCannotUseTheWayBackForAnythingElse) {
  const std::string host = World::HostAddress(0);
  auto honest = Udp(Outside(), host);
  auto honest_tcp = Tcp(Outside(), host);
  world_->MoveNode(kMoving, 1);
  ASSERT_TRUE(honest->Works(kPatience));
  ASSERT_TRUE(honest_tcp->Works(kPatience));
  const UniqueFd victim = OpenServer(Outside(), Protocol::kUdp, 5555);
  const UniqueFd victim_of_host = OpenServer(world_->HostSpace(0), Protocol::kUdp, 5555);
  SetPatience(victim, kSilence);
  SetPatience(victim_of_host, kSilence);
  const RawLink link(Moving());
  const Mac own = World::MacOf(kMoving);
  const Mac gateway = MacForGateway(1);
  const Mac old_host = MacForHost(1, Ipv4::Parse(host).value());
  const Ipv4 address = Ipv4::Parse(World::AddressOf(kMoving)).value();
  const auto udp = [&](const Mac& to, const std::string& destination, uint16_t from) {
    link.Send(EthernetFrame(to, own, 0x0800,
                            Ipv4Payload(17, address, Ipv4::Parse(destination).value(),
                                        UdpPayload(from, 5555, "a claim"))));
  };
  // From the port, to whom has asked for nothing; to the other host itself.
  const uint64_t strays = CountOf(0, "stray_answer");
  udp(gateway, kOutside, kUdpOfNode);
  udp(gateway, host, kUdpOfNode);
  const auto until = std::chrono::steady_clock::now() + kAnswer;
  while (CountOf(0, "stray_answer") < strays + 2 && std::chrono::steady_clock::now() < until) {
  }
  EXPECT_EQ(CountOf(0, "stray_answer"), strays + 2);
  // At the other host's MAC, from any port; to an address that stands for it.
  udp(old_host, kOutside, 9);
  udp(old_host, kOutside, kUdpOfNode);
  udp(old_host, host, kUdpOfNode);
  udp(gateway, "240.0.2.1", 9);
  char buffer[16];
  EXPECT_EQ(::recv(victim.get(), buffer, sizeof(buffer), 0), -1);
  EXPECT_EQ(::recv(victim_of_host.get(), buffer, sizeof(buffer), 0), -1);
  EXPECT_EQ(CountOf(0, "stray_answer"), strays + 2) << "it has come there";
  // A neighbour there, as itself and as the node.
  const RawLink other(world_->SpaceOf(kNeighbour));
  for (const Node& as : {kNeighbour, kMoving}) {
    other.Send(EthernetFrame(
        old_host, World::MacOf(as), 0x0800,
        Ipv4Payload(17, Ipv4::Parse(World::AddressOf(as)).value(), Ipv4::Parse(kOutside).value(),
                    UdpPayload(kUdpOfNode, 5555, "a claim"))));
  }
  EXPECT_EQ(::recv(victim.get(), buffer, sizeof(buffer), 0), -1);
  // What it begins itself goes out by its own host, and from other ports without the other host.
  udp(gateway, kOutside, 9);
  SetPatience(victim, kAnswer);
  sockaddr_in sender = {};
  socklen_t size = sizeof(sender);
  ASSERT_GT(::recvfrom(victim.get(), buffer, sizeof(buffer), 0,
                       reinterpret_cast<sockaddr*>(&sender), &size),
            0);
  EXPECT_EQ(ntohl(sender.sin_addr.s_addr), Ipv4::Parse(World::HostAddress(1))->value);
  EXPECT_TRUE(honest->Works(kPatience));
  EXPECT_TRUE(honest_tcp->Answers(kPatience));
}

INSTANTIATE_TEST_SUITE_P(Drivers, MoveTest,
                         ::testing::Values(Means::kLinux, Means::kFastPath, Means::kOvsVxlan,
                                           Means::kOvsGre),
                         [](const auto& driver) { return NameOf(driver.param); });

}  // namespace
}  // namespace strata::net
