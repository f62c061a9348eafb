// What every driver of networks has to do, by each of them: the kernel's bridges and VXLAN, with
// and without the fast path, over an encrypted network of the hosts, and Open vSwitch with VXLAN
// and with GRE (its datapath in user space).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <thread>

#include "tests/unit/net/conformance/world.h"
#include "tests/unit/net/dns/asking.h"
#include "tests/unit/net/frames.h"
#include "tests/unit/net/traffic.h"

namespace strata::net {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Node = World::Node;
using std::chrono::milliseconds;

constexpr Node kFirst = {1, 0};      // On host 0, as…
constexpr Node kNeighbour = {1, 1};  // …this one.
constexpr Node kFar = {1, 2};        // On host 1.
constexpr Node kOther = {2, 0};      // Of another network, on host 0, and…
constexpr Node kOtherFar = {2, 1};   // …on host 1.
constexpr int kHosts = 3;

class NetworkConformanceTest : public ::testing::TestWithParam<Means> {
 protected:
  void SetUp() override {
    world_.emplace(GetParam(), kHosts);
    world_->AddNetwork(1);
    world_->AddNetwork(2);
    for (const Node& node : {kFirst, kNeighbour, kOther}) world_->AddNode(node, 0);
    for (const Node& node : {kFar, kOtherFar}) world_->AddNode(node, 1);
    world_->Settle();
    // So that all have been asked for who is where.
    for (const Node& node : {kFirst, kNeighbour, kFar, kOther, kOtherFar}) {
      ASSERT_TRUE(Reaches(node, "192.0.2.254")) << node.first << "/" << node.second;
    }
    ASSERT_TRUE(Reaches(kFirst, kFar));
    ASSERT_TRUE(Reaches(kOther, kOtherFar));
  }
  // A datapath in user space drops what comes while it asks for a host's MAC.
  bool Reaches(Node from, const std::string& to, size_t bytes = 100) {
    for (int tries = 0; tries < 20; ++tries) {
      if (Ping(world_->SpaceOf(from), to, bytes, kSilence)) return true;
    }
    return false;
  }
  bool Reaches(Node from, Node to, size_t bytes = 100) {
    return Reaches(from, World::AddressOf(to), bytes);
  }
  bool Reaches6(Node from, Node to, size_t bytes = 100) {
    return Reaches(from, World::Address6Of(to), bytes);
  }
  bool ReachesNow6(Node from, Node to) {
    return Ping(world_->SpaceOf(from), World::Address6Of(to), 100, kSilence);
  }
  bool ReachesNow(Node from, Node to) {
    return Ping(world_->SpaceOf(from), World::AddressOf(to), 100, kSilence);
  }
  Connection Between(Node client, Node server, uint16_t port) const {
    return Connection(world_->SpaceOf(client), World::AddressOf(server), port,
                      world_->SpaceOf(server), port);
  }

  std::optional<World> world_;
};

TEST_P(NetworkConformanceTest, NodesOfANetworkReachEachOtherWhereverTheyAre) {
  EXPECT_TRUE(Reaches(kFirst, kNeighbour));
  EXPECT_TRUE(Reaches(kFirst, kFar));
  EXPECT_TRUE(Reaches(kFar, kNeighbour));
  EXPECT_TRUE(Reaches(kFirst, kNeighbour, world_->mtu()));
  EXPECT_TRUE(Reaches(kFirst, kFar, world_->mtu())) << "the largest packet is lost";
  EXPECT_TRUE(Between(kFirst, kFar, 5001).Works());
  EXPECT_TRUE(Between(kNeighbour, kFirst, 5002).Works());
  for (const Node& to : {kNeighbour, kFar}) {
    const UniqueFd server = OpenServer(world_->SpaceOf(to), Protocol::kUdp, 5003);
    EXPECT_EQ(AskWho(world_->SpaceOf(kFirst), Protocol::kUdp, World::AddressOf(to), 5003, server),
              Ipv4::Parse(World::AddressOf(kFirst)).value());
  }
}

TEST_P(NetworkConformanceTest, ManyBytesArriveAsTheyWereSent) {
  for (const Node& to : {kNeighbour, kFar}) {
    EXPECT_GT(
        StreamMbits(world_->SpaceOf(kFirst), world_->SpaceOf(to), World::AddressOf(to), 4 << 20), 0)
        << to.second;
  }
}

TEST_P(NetworkConformanceTest, NetworksDoNotReachEachOther) {
  EXPECT_FALSE(ReachesNow(kFirst, kOther));
  EXPECT_FALSE(ReachesNow(kFirst, kOtherFar));
  EXPECT_FALSE(ReachesNow(kOtherFar, kFar));
  EXPECT_TRUE(Reaches(kOther, kOtherFar));
}

TEST_P(NetworkConformanceTest, WhoSpeaksAsAnotherIsNotHeard) {
  const Mac own = World::MacOf(kFirst);
  const Mac theirs = World::MacOf(kNeighbour);
  const Ipv4 own_address = Ipv4::Parse(World::AddressOf(kFirst)).value();
  const Ipv4 their_address = Ipv4::Parse(World::AddressOf(kNeighbour)).value();
  const RawLink sender(world_->SpaceOf(kFirst));
  for (const Node& victim : {kNeighbour, kFar}) {
    ASSERT_TRUE(Reaches(kFirst, victim));  // Both know each other's MAC.
    // One listener for each, because a look takes all that has come.
    const NetNamespace& space = world_->SpaceOf(victim);
    const RawLink honest(space);
    const std::vector<std::string> lies = {"as another MAC", "as another address", "as a stranger"};
    std::vector<std::unique_ptr<RawLink>> seen;
    for (size_t i = 0; i <= lies.size(); ++i) seen.push_back(std::make_unique<RawLink>(space));
    const Mac to = World::MacOf(victim);
    const Ipv4 to_address = Ipv4::Parse(World::AddressOf(victim)).value();
    const auto udp = [&](Ipv4 from, const std::string& text) {
      return Ipv4Payload(17, from, to_address, UdpPayload(9, 9, text));
    };
    sender.Send(EthernetFrame(to, theirs, 0x0800, udp(own_address, "as another MAC")));
    sender.Send(EthernetFrame(to, own, 0x0800, udp(their_address, "as another address")));
    sender.Send(
        EthernetFrame(to, own, 0x0800, udp(Ipv4::Parse("198.51.100.7").value(), "as a stranger")));
    Arp lie;
    lie.operation = 2;
    lie.sender_mac = own;
    lie.sender = Ipv4::Parse("10.90.1.1").value();  // The gateway.
    lie.target_mac = to;
    lie.target = to_address;
    const std::string arp = ArpPayload(lie);
    sender.Send(EthernetFrame(to, own, 0x0806, arp));
    sender.Send(EthernetFrame(to, own, 0x0800, udp(own_address, "as itself")));
    // What was sent before it has come by then, or never will.
    const auto until = std::chrono::steady_clock::now() + kAnswer;
    bool heard = false;
    while (!heard && std::chrono::steady_clock::now() < until) heard = honest.Saw("as itself");
    EXPECT_TRUE(heard) << "to node " << victim.second;
    for (size_t i = 0; i < lies.size(); ++i) EXPECT_FALSE(seen[i]->Saw(lies[i])) << lies[i];
    EXPECT_FALSE(seen.back()->Saw(arp));
  }
}

TEST_P(NetworkConformanceTest, NodesReachEachOtherByIpv6WhereverTheyAre) {
  for (const Node& to : {kNeighbour, kFar}) {
    EXPECT_TRUE(Reaches6(kFirst, to)) << to.second;
    EXPECT_TRUE(Reaches6(to, kFirst)) << to.second;
    EXPECT_TRUE(Reaches6(kFirst, to, world_->mtu())) << to.second << ": the largest packet is lost";
    EXPECT_GT(
        StreamMbits(world_->SpaceOf(kFirst), world_->SpaceOf(to), World::Address6Of(to), 1 << 20),
        0)
        << to.second;
    const UniqueFd server = OpenServer(world_->SpaceOf(to), Protocol::kUdp, 5003, "::");
    EXPECT_EQ(AskWho(world_->SpaceOf(kFirst), Protocol::kUdp, World::Address6Of(to), 5003, server),
              IpAddress::Parse(World::Address6Of(kFirst)).value());
  }
}

TEST_P(NetworkConformanceTest, NetworksDoNotReachEachOtherByIpv6) {
  ASSERT_TRUE(Reaches6(kOther, kOtherFar));
  EXPECT_FALSE(ReachesNow6(kFirst, kOther));
  EXPECT_FALSE(ReachesNow6(kFirst, kOtherFar));
  EXPECT_FALSE(ReachesNow6(kOtherFar, kFar));
}

TEST_P(NetworkConformanceTest, OutsideAndItsHostAreReachedByIpv6AsByIpv4) {
  const NetNamespace& first = world_->SpaceOf(kFirst);
  const std::string gateway = NetworkOf(Pool6For(World::kInstance), 1).Host(1).ToString();
  EXPECT_TRUE(Reaches(kFirst, gateway));
  EXPECT_TRUE(Reaches(kFar, gateway)) << "each host has it";
  const UniqueFd on_host = OpenServer(world_->HostSpace(0), Protocol::kTcp, 5005, "::");
  for (const std::string& host : {gateway, World::HostAddress6(0)}) {
    EXPECT_FALSE(AskWho(first, Protocol::kTcp, host, 5005, on_host, kSilence).has_value()) << host;
  }
  const UniqueFd outside = OpenServer(world_->fabric(), Protocol::kUdp, 5006, "::");
  for (const auto& [node, host] : {std::pair(kFirst, 0), std::pair(kFar, 1)}) {
    EXPECT_EQ(AskWho(world_->SpaceOf(node), Protocol::kUdp, "2001:db8::fe", 5006, outside),
              IpAddress::Parse(World::HostAddress6(host)).value());
  }
  // Nobody comes in, even by a route.
  world_->fabric().Ip({"route", "add", NetworkOf(Pool6For(World::kInstance), 1).ToString(), "via",
                       World::HostAddress6(0)});
  const UniqueFd inside = OpenServer(first, Protocol::kUdp, 5007, "::");
  EXPECT_FALSE(
      AskWho(world_->fabric(), Protocol::kUdp, World::Address6Of(kFirst), 5007, inside, kSilence)
          .has_value());
}

TEST_P(NetworkConformanceTest, WhoSpeaksAsAnotherByIpv6IsNotHeard) {
  const Mac own = World::MacOf(kFirst);
  const auto bytes = [](Node node) {
    return IpAddress::Parse(World::Address6Of(node)).value().bytes;
  };
  const RawLink sender(world_->SpaceOf(kFirst));
  for (const Node& victim : {kNeighbour, kFar}) {
    ASSERT_TRUE(Reaches6(kFirst, victim));
    const NetNamespace& space = world_->SpaceOf(victim);
    const RawLink honest(space);
    const RawLink seen(space);
    const Mac to = World::MacOf(victim);
    const auto echo = [&](const Ipv6Bytes& from, const std::string& text) {
      return EthernetFrame(
          to, own, 0x86dd,
          Icmpv6Payload(from, bytes(victim), std::string("\x80\0\0\0\0\0\0\0", 8) + text));
    };
    // "I have this address", RFC 4861.
    const auto advertisement = [&](const Ipv6Bytes& from, const Ipv6Bytes& target) {
      return EthernetFrame(to, own, 0x86dd,
                           Icmpv6Payload(from, bytes(victim),
                                         std::string("\x88\0\0\0\x20\0\0\0", 8) +
                                             std::string(target.begin(), target.end()) + "a lie"));
    };
    const Node nobody = {1, 77};
    const Node gateway = {1, static_cast<uint32_t>(-1)};
    for (const Node& other : {kNeighbour, kFar, kOther, nobody, gateway}) {
      if (other == victim) continue;
      sender.Send(echo(bytes(other), "a lie"));
      sender.Send(advertisement(bytes(kFirst), bytes(other)));
    }
    sender.Send(echo(LinkLocalOf(World::MacOf(kNeighbour)), "a lie"));
    sender.Send(EthernetFrame(to, World::MacOf(kNeighbour), 0x86dd,
                              Icmpv6Payload(bytes(kFirst), bytes(victim),
                                            std::string("\x80\0\0\0\0\0\0\0", 8) + "a lie")));
    sender.Send(EthernetFrame(
        to, own, 0x86dd,
        Icmpv6Payload(LinkLocalOf(own), bytes(victim), "\x86" + std::string(15, '\0') + "a lie")));
    // What came after the lies shows that they would have come.
    const auto until = std::chrono::steady_clock::now() + kAnswer;
    bool heard = false;
    while (!heard && std::chrono::steady_clock::now() < until) {
      sender.Send(echo(bytes(kFirst), "the truth"));
      std::this_thread::yield();
      heard = honest.Saw("the truth");
    }
    EXPECT_TRUE(heard) << victim.second;
    EXPECT_FALSE(seen.Saw("a lie")) << victim.second;
  }
}

TEST_P(NetworkConformanceTest, ANodeThatMovesKeepsItsConnectionsOfIpv6) {
  Connection near(world_->SpaceOf(kNeighbour), World::Address6Of(kFirst), 5011,
                  world_->SpaceOf(kFirst), 5011);
  Connection far(world_->SpaceOf(kFar), World::Address6Of(kFirst), 5012, world_->SpaceOf(kFirst),
                 5012);
  ASSERT_TRUE(near.Works());
  ASSERT_TRUE(far.Works());
  for (const int host : {2, 1, 0}) {
    world_->MoveNode(kFirst, host);
    EXPECT_TRUE(far.Works(milliseconds(20'000))) << "to host " << host;
    EXPECT_TRUE(near.Works(milliseconds(20'000))) << "to host " << host;
  }
  world_->ExpectAllAreDone();
}

TEST_P(NetworkConformanceTest, TheHostIsReachedByPingAlone) {
  const NetNamespace& first = world_->SpaceOf(kFirst);
  EXPECT_TRUE(Ping(first, "10.90.1.1"));
  const UniqueFd server = OpenServer(world_->HostSpace(0), Protocol::kTcp, 5005);
  EXPECT_FALSE(AskWho(first, Protocol::kTcp, "10.90.1.1", 5005, server, kSilence).has_value());
  EXPECT_FALSE(
      AskWho(first, Protocol::kTcp, World::HostAddress(0), 5005, server, kSilence).has_value());
}

TEST_P(NetworkConformanceTest, TheGatewayAnswersForNamesOfItsNetworkToItsNodesAlone) {
  for (const Node& node : {kFirst, kFar, kOther}) {
    HostNames& names = world_->BridgeOf(node.first).names;
    names.domain = "of" + std::to_string(node.first);
    const IpAddress address = IpAddress::Parse(World::AddressOf(node)).value();
    names.names.push_back({"node-" + std::to_string(node.second), {address}});
    if (node == kFirst) names.names.push_back({"role", {address}});
    if (node == kFar) names.names[1].addresses.push_back(address);
  }
  world_->Settle();
  const auto ask = [&](Node node, const std::string& name, const std::string& gateway,
                       Protocol protocol, milliseconds patience = kAnswer) {
    return AskName(world_->SpaceOf(node), gateway, name, kTypeA, protocol, patience);
  };
  // Each asks its own host.
  for (const Node& node : {kFirst, kNeighbour, kFar}) {
    for (const Protocol protocol : {Protocol::kUdp, Protocol::kTcp}) {
      EXPECT_THAT(ask(node, "node-2.of1", "10.90.1.1", protocol).data,
                  ElementsAre(World::AddressOf(kFar)));
      EXPECT_THAT(ask(node, "role", "10.90.1.1", protocol).data,
                  UnorderedElementsAre(World::AddressOf(kFirst), World::AddressOf(kFar)));
      EXPECT_EQ(ask(node, "node-0.of2", "10.90.1.1", protocol).rcode, 2) << "another's name";
      EXPECT_EQ(ask(node, "node-0", "10.90.2.1", protocol, kSilence).rcode, -1)
          << "another's gateway";
    }
  }
  EXPECT_THAT(ask(kOther, "node-0", "10.90.2.1", Protocol::kUdp).data,
              ElementsAre(World::AddressOf(kOther)));
  world_->BridgeOf(1).peers = {2};
  world_->BridgeOf(2).peers = {1};
  world_->Settle();
  EXPECT_EQ(ask(kFirst, "node-0.of2", "10.90.1.1", Protocol::kUdp).rcode, 2) << "a peer's name";
  world_->ExpectAllAreDone();
}

TEST_P(NetworkConformanceTest, OutsideIsReachedWithTheHostsAddress) {
  const UniqueFd server = OpenServer(world_->fabric(), Protocol::kUdp, 5006);
  for (const auto& [node, host] : {std::pair(kFirst, 0), std::pair(kFar, 1)}) {
    EXPECT_EQ(AskWho(world_->SpaceOf(node), Protocol::kUdp, "192.0.2.254", 5006, server),
              Ipv4::Parse(World::HostAddress(host)).value());
  }
}

TEST_P(NetworkConformanceTest, APortOfTheHostLeadsToANode) {
  world_->AddForward(0, kFirst, {Protocol::kTcp, 20080, {}, 80});
  world_->Settle();
  EXPECT_TRUE(
      Connection(world_->fabric(), World::HostAddress(0), 20080, world_->SpaceOf(kFirst), 80)
          .Works());
  EXPECT_TRUE(
      Connection(world_->SpaceOf(kOther), World::HostAddress(0), 20080, world_->SpaceOf(kFirst), 80)
          .Works());
  EXPECT_TRUE(
      Connection(world_->fabric(), World::HostAddress6(0), 20080, world_->SpaceOf(kFirst), 80)
          .Works());
  // As the gateway, also those of the same network and itself.
  for (const Node& from : {kOther, kNeighbour, kFirst}) {
    EXPECT_TRUE(Connection(world_->SpaceOf(from), World::HostAddress6(0), 20080,
                           world_->SpaceOf(kFirst), 80)
                    .Works())
        << from.first << "/" << from.second;
  }
}

TEST_P(NetworkConformanceTest, ANodeThatMovesKeepsItsConnections) {
  Connection near = Between(kNeighbour, kFirst, 5007);
  Connection far = Between(kFar, kFirst, 5008);
  ASSERT_TRUE(near.Works());
  ASSERT_TRUE(far.Works());
  for (const int host : {2, 1, 0}) {
    const auto start = std::chrono::steady_clock::now();
    world_->MoveNode(kFirst, host);
    EXPECT_TRUE(far.Works(milliseconds(20'000))) << "to host " << host;
    const std::chrono::duration<double, std::milli> gone = std::chrono::steady_clock::now() - start;
    EXPECT_TRUE(near.Works(milliseconds(20'000))) << "to host " << host;
    std::printf("%s: nothing passed for %.0f ms\n", NameOf(GetParam()).c_str(), gone.count());
  }
  world_->ExpectAllAreDone();
}

TEST_P(NetworkConformanceTest, ConnectionsOutliveAHostThatIsCutOffForAWhile) {
  Connection far = Between(kFar, kFirst, 5010);
  ASSERT_TRUE(far.Works());
  for (int i = 0; i < 5; ++i) {  // A link that flaps.
    world_->Cut(1);
    world_->Mend(1);
  }
  EXPECT_TRUE(far.Works(milliseconds(20'000)));
  world_->Cut(1);
  EXPECT_FALSE(ReachesNow(kFirst, kFar));
  EXPECT_TRUE(Reaches(kFirst, kNeighbour));
  // The networks change meanwhile, and all hosts are told.
  const Node late = {1, 9};
  world_->AddNode(late, 2);
  world_->Settle();
  world_->Mend(1);
  EXPECT_TRUE(far.Works(milliseconds(20'000)));
  EXPECT_TRUE(Reaches(kFar, late));
  world_->ExpectAllAreDone();
}

TEST_P(NetworkConformanceTest, NodesThatGoAreForgottenAndTheOthersAreNot) {
  Connection stays = Between(kNeighbour, kFar, 5009);
  ASSERT_TRUE(stays.Works());
  world_->RemoveNode(kFirst);
  world_->Settle();
  EXPECT_TRUE(stays.Works());
  world_->ExpectAllAreDone();
  world_->AddNode(kFirst, 2);
  world_->Settle();
  EXPECT_TRUE(Reaches(kNeighbour, kFirst));
  EXPECT_TRUE(stays.Works());
}

TEST_P(NetworkConformanceTest, WhatIsDoneIsNotDoneAgain) {
  world_->ExpectAllAreDone();
  for (int host = 0; host < kHosts; ++host) {
    const auto made = world_->Make(host);
    ASSERT_TRUE(made.ok()) << made.error().message();
    EXPECT_THAT(made->changes, IsEmpty());
    EXPECT_FALSE(made->mends);
  }
}

TEST_P(NetworkConformanceTest, RulesThatOthersFlushHoldAgain) {
  ASSERT_TRUE(world_->HostSpace(0).In([] { return RunChecked({"nft", "flush", "ruleset"}); }).ok());
  const auto made = world_->Make(0);
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_TRUE(made->mends);
  EXPECT_FALSE(ReachesNow(kFirst, kOther));
  EXPECT_TRUE(Reaches(kFirst, kFar));
}

TEST_P(NetworkConformanceTest, WithoutNodesNothingOfOursIsLeft) {
  for (const Node& node : {kFirst, kNeighbour, kFar, kOther, kOtherFar}) world_->RemoveNode(node);
  world_->Settle();
  for (int host = 0; host < kHosts; ++host) {
    const auto links = world_->HostSpace(host).In([] { return ObserveLinks(); });
    for (const ObservedLink& link : *links) {
      const std::string instance = world_->InstanceOf(host);
      if (link.name == FabricName(instance)) continue;  // Of the hosts, not of nodes.
      EXPECT_FALSE(link.name.starts_with("s" + instance)) << link.name;
    }
    const auto tables = world_->HostSpace(host).In([] {
      return RunChecked({"nft", "list", "tables"});
    });
    EXPECT_EQ(tables->find("strata_"), std::string::npos) << *tables;
  }
}

TEST(HostWithoutIpv6Test, HasItsNetworksWithIpv4Alone) {
  World world(Means::kLinux, 2);
  world.HostSpace(0).Set("net/ipv6/conf/all/disable_ipv6", "1");
  world.AddNetwork(1);
  const std::vector<Node> nodes = {{1, 0}, {1, 1}, {1, 2}};
  for (uint32_t i = 0; i < 3; ++i) world.AddNode(nodes[i], i < 2 ? 0 : 1);
  world.Settle();
  for (const Node& to : {nodes[1], nodes[2]}) {
    EXPECT_TRUE(Ping(world.SpaceOf(nodes[0]), World::AddressOf(to))) << to.second;
  }
  EXPECT_FALSE(Ping(world.SpaceOf(nodes[0]), World::Address6Of(nodes[2]), 100, kSilence));
  for (int host = 0; host < 2; ++host) {
    const auto plan = world.Plan(host);
    ASSERT_TRUE(plan.ok()) << plan.error().message();
    EXPECT_THAT(plan->changes, IsEmpty()) << "host " << host;
  }
}

// Eight hosts behind links of 100 Mbit/s, each with a node of the same network.
class ManyHostsTest : public ::testing::TestWithParam<Means> {};

TEST_P(ManyHostsTest, EveryNodeReachesEveryOther) {
  constexpr int kMany = 8;
  World world(GetParam(), kMany);
  world.Shape("100mbit");
  world.AddNetwork(1);
  for (int host = 0; host < kMany; ++host) world.AddNode({1, static_cast<uint32_t>(host)}, host);
  world.Settle();
  for (uint32_t from = 0; from < kMany; ++from) {
    for (uint32_t to = 0; to < kMany; ++to) {
      bool reached = from == to;
      for (int tries = 0; !reached && tries < 20; ++tries) {
        reached = Ping(world.SpaceOf({1, from}), World::AddressOf({1, to}), world.mtu(), kSilence);
      }
      EXPECT_TRUE(reached) << from << " to " << to;
    }
  }
  for (const uint32_t to : {1u, 7u}) {
    EXPECT_GT(StreamMbits(world.SpaceOf({1, 0}), world.SpaceOf({1, to}), World::AddressOf({1, to}),
                          2 << 20),
              0);
  }
}

INSTANTIATE_TEST_SUITE_P(Drivers, ManyHostsTest,
                         ::testing::Values(Means::kLinux, Means::kFastPath, Means::kSecure,
                                           Means::kOvsVxlan, Means::kOvsGre),
                         [](const auto& driver) { return NameOf(driver.param); });
INSTANTIATE_TEST_SUITE_P(Drivers, NetworkConformanceTest,
                         ::testing::Values(Means::kLinux, Means::kFastPath, Means::kSecure,
                                           Means::kOvsVxlan, Means::kOvsGre),
                         [](const auto& driver) { return NameOf(driver.param); });

}  // namespace
}  // namespace strata::net
