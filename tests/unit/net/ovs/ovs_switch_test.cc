// Two hosts, namespaces, whose nodes are joined by Open vSwitch.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "net/ovs/flows.h"
#include "net/ovs/wire.h"
#include "tests/unit/net/ovs/ovs_host.h"
#include "tests/unit/net/traffic.h"

namespace strata::net {
namespace {

constexpr int kHosts = 2;
constexpr char kOutsider[] = "192.0.2.254";
std::string HostAddress(int host) { return "192.0.2." + std::to_string(host + 1); }
Ipv4 A(const std::string& text) { return Ipv4::Parse(text).value(); }
std::string_view Bytes(const Mac& mac) {
  return {reinterpret_cast<const char*>(mac.data()), mac.size()};
}

bool Reaches(const OvsNode& from, const OvsNode& to, Protocol protocol = Protocol::kUdp,
             std::chrono::milliseconds patience = kAnswer) {
  const UniqueFd server = OpenServer(to.space, protocol, 5001);
  return AskWho(from.space, protocol, to.address, 5001, server, patience) == A(from.address);
}

// All frames that pass links of the namespace.
UniqueFd Listen(const NetNamespace& space) {
  return space.In([] {
    UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL)));
    CHECK(fd.valid());
    return fd;
  });
}

// Of those that came since, how many hold this.
int CountWith(const UniqueFd& listener, std::string_view part) {
  int count = 0;
  std::string frame(4096, '\0');
  for (;;) {
    const ssize_t size = ::recv(listener.get(), frame.data(), frame.size(), 0);
    if (size < 0) return count;
    if (std::string_view(frame).substr(0, static_cast<size_t>(size)).find(part) !=
        std::string_view::npos) {
      ++count;
    }
  }
}

void SendFrame(const OvsNode& from, const std::string& frame) {
  from.space.In([&] {
    const UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    sockaddr_ll where = {};
    where.sll_family = AF_PACKET;
    where.sll_ifindex = static_cast<int>(::if_nametoindex("eth0"));
    EXPECT_EQ(::sendto(fd.get(), frame.data(), frame.size(), 0,
                       reinterpret_cast<const sockaddr*>(&where), sizeof(where)),
              static_cast<ssize_t>(frame.size()));
  });
}

constexpr char kMark[] = "a frame of this test";

std::string Ipv4Frame(const Mac& to, const Mac& from, Ipv4 source, Ipv4 target) {
  WireWriter frame;
  frame.PutBytes(Bytes(to)).PutBytes(Bytes(from)).Put(uint16_t{ETHERTYPE_IP});
  frame.Put(uint16_t{0x4500}).Put(static_cast<uint16_t>(20 + 8 + sizeof(kMark)));
  frame.PutZeros(4).Put(uint8_t{64}).Put(uint8_t{IPPROTO_UDP}).PutZeros(2);  // No checksum.
  frame.Put(source.value).Put(target.value);
  frame.Put(uint16_t{9}).Put(uint16_t{9}).Put(static_cast<uint16_t>(8 + sizeof(kMark)));
  return frame.PutZeros(2).PutBytes({kMark, sizeof(kMark)}).PutZeros(20).bytes();
}

std::string ArpFrame(const Mac& from, uint16_t operation, const Mac& sender, Ipv4 address,
                     Ipv4 target) {
  const Mac all = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  WireWriter frame;
  frame.PutBytes(Bytes(all)).PutBytes(Bytes(from)).Put(uint16_t{ETHERTYPE_ARP});
  frame.Put(uint16_t{ARPHRD_ETHER}).Put(uint16_t{ETHERTYPE_IP}).Put(uint8_t{6}).Put(uint8_t{4});
  frame.Put(operation).PutBytes(Bytes(sender)).Put(address.value).PutZeros(6).Put(target.value);
  return frame.PutBytes({kMark, sizeof(kMark)}).bytes();
}

class OvsSwitchTest : public ::testing::TestWithParam<TunnelKind> {
 protected:
  void SetUp() override {
    fabric_.Ip({"link", "add", "br0", "type", "bridge"});
    fabric_.Ip({"addr", "add", std::string(kOutsider) + "/24", "dev", "br0"});
    fabric_.Ip({"link", "set", "br0", "up"});
    for (int host = 0; host < kHosts; ++host) {
      const std::string port = "h" + std::to_string(host);
      hosts_[host].JoinUnderlay(fabric_, port, HostAddress(host) + "/24");
      fabric_.Ip({"link", "set", port, "master", "br0"});
      hosts_[host].Open({.tunnel = GetParam()});
    }
  }

  // Nodes 0 and 1 are on host 0, 2 and 3 on host 1.
  void AddVcluster(uint32_t number, uint32_t subnet) {
    for (int host = 0; host < kHosts; ++host) {
      Bridge& bridge = hosts_[host].AddBridge(number, subnet, HostAddress(host));
      for (uint32_t index = 0; index < 4; ++index) {
        if (HostOf(index) == host) {
          hosts_[host].WantNode(number, index);
        } else {
          bridge.overlay->remotes.push_back(
              {NodeAddress(bridge, index), NodeMac(bridge, index), A(HostAddress(HostOf(index)))});
        }
      }
    }
  }
  static int HostOf(uint32_t index) { return static_cast<int>(index / 2); }
  std::vector<OvsNode> StartNodes(uint32_t number) {
    std::vector<OvsNode> nodes;
    for (uint32_t index = 0; index < 4; ++index) {
      nodes.push_back(hosts_[HostOf(index)].StartNode(number, index));
    }
    return nodes;
  }
  void ApplyAll() {
    for (OvsHost& host : hosts_) host.Apply();
  }
  // The first packet to another host is lost: ovs-vswitchd asks for the host's MAC instead.
  static void MeetHosts(const std::vector<OvsNode>& nodes) {
    for (const auto& [from, to] : {std::pair(0, 2), std::pair(2, 0)}) {
      const auto until = std::chrono::steady_clock::now() + kAnswer;
      while (!Reaches(nodes[from], nodes[to], Protocol::kUdp, kSilence)) {
        ASSERT_LT(std::chrono::steady_clock::now(), until);
      }
    }
  }
  void ExpectDone() {
    for (OvsHost& host : hosts_) EXPECT_EQ(Words(host.PlanSwitch()), "");
  }

  NetNamespace fabric_;
  std::array<OvsHost, kHosts> hosts_;
};

INSTANTIATE_TEST_SUITE_P(By, OvsSwitchTest, ::testing::Values(TunnelKind::kVxlan, TunnelKind::kGre),
                         [](const auto& one) { return std::string(TunnelKindName(one.param)); });

TEST_P(OvsSwitchTest, AllNodesReachEachOtherAndTheOutside) {
  AddVcluster(7, 1);
  ApplyAll();
  ExpectDone();
  const std::vector<OvsNode> nodes = StartNodes(7);
  ApplyAll();
  MeetHosts(nodes);
  for (const OvsNode& from : nodes) {
    for (const OvsNode& to : nodes) {
      if (&from == &to) continue;
      const std::string pair = from.address + " to " + to.address;
      EXPECT_TRUE(Reaches(from, to)) << pair;
      EXPECT_TRUE(Transfer(from, to, 256u << 10)) << pair;
    }
  }
  const UniqueFd server = OpenServer(fabric_, Protocol::kTcp, 80);
  for (uint32_t index : {0, 2}) {
    EXPECT_EQ(AskWho(nodes[index].space, Protocol::kTcp, kOutsider, 80, server),
              A(HostAddress(HostOf(index))));
  }
  ExpectDone();
}

TEST_P(OvsSwitchTest, TwoVclustersWithTheSameAddressesAreApart) {
  AddVcluster(7, 1);
  AddVcluster(8, 1);
  ApplyAll();
  const std::vector<OvsNode> sevens = StartNodes(7);
  const std::vector<OvsNode> eights = StartNodes(8);
  ApplyAll();
  MeetHosts(sevens);
  for (uint32_t to : {1, 2}) {
    const UniqueFd of_eight = OpenServer(eights[to].space, Protocol::kUdp, 5001);
    EXPECT_TRUE(Reaches(sevens[0], sevens[to]));
    char byte = 0;
    EXPECT_EQ(::recv(of_eight.get(), &byte, 1, MSG_DONTWAIT), -1);
    EXPECT_EQ(AskWho(eights[0].space, Protocol::kUdp, eights[to].address, 5001, of_eight),
              A(eights[0].address));
  }
  // Nor do frames get across that are addressed to the other's node.
  const UniqueFd listener = Listen(eights[2].space);
  SendFrame(sevens[0],
            Ipv4Frame(eights[2].mac, sevens[0].mac, A(sevens[0].address), A(eights[2].address)));
  EXPECT_TRUE(Reaches(eights[0], eights[2]));
  EXPECT_EQ(CountWith(listener, kMark), 0);
}

TEST_P(OvsSwitchTest, ANodeSpeaksAsItselfOnly) {
  AddVcluster(7, 1);
  ApplyAll();
  const std::vector<OvsNode> nodes = StartNodes(7);
  ApplyAll();
  MeetHosts(nodes);
  const OvsNode& from = nodes[0];
  const Mac other = {2, 1, 2, 3, 4, 5};
  for (uint32_t target : {1, 2}) {
    const OvsNode& to = nodes[target];
    const UniqueFd listener = Listen(to.space);
    const auto arrives = [&](const std::string& frame) {
      SendFrame(from, frame);
      EXPECT_TRUE(Reaches(from, to));  // What is sent later arrives later.
      return CountWith(listener, kMark) > 0;
    };
    const Ipv4 own = A(from.address);
    const Ipv4 there = A(to.address);
    EXPECT_TRUE(arrives(Ipv4Frame(to.mac, from.mac, own, there)));
    EXPECT_FALSE(arrives(Ipv4Frame(to.mac, other, own, there)));
    EXPECT_FALSE(arrives(Ipv4Frame(to.mac, nodes[3].mac, A(nodes[3].address), there)));
    EXPECT_FALSE(arrives(Ipv4Frame(to.mac, from.mac, A("10.90.1.77"), there)));
    EXPECT_FALSE(arrives(Ipv4Frame(other, from.mac, own, there))) << "nobody has that MAC";
    std::string tagged = Ipv4Frame(to.mac, from.mac, own, there);
    tagged.insert(12, std::string("\x81\x00\x00\x07", 4));
    EXPECT_FALSE(arrives(tagged));
    std::string ipv6 = Ipv4Frame(to.mac, from.mac, own, there);
    ipv6.replace(12, 2, "\x86\xdd");
    EXPECT_FALSE(arrives(ipv6));
    // ARP, as an answer, a request and an announcement; within a host it goes to all.
    EXPECT_EQ(arrives(ArpFrame(from.mac, ARPOP_REPLY, from.mac, own, there)), target == 1);
    for (const uint16_t operation : {ARPOP_REQUEST, ARPOP_REPLY}) {
      EXPECT_FALSE(arrives(ArpFrame(from.mac, operation, from.mac, A("10.90.1.1"), there)));
      EXPECT_FALSE(arrives(ArpFrame(from.mac, operation, from.mac, A(nodes[3].address), there)));
      EXPECT_FALSE(arrives(ArpFrame(from.mac, operation, other, own, there)));
      EXPECT_FALSE(arrives(ArpFrame(other, operation, other, own, there)));
    }
  }
}

TEST_P(OvsSwitchTest, WhatIsForAllStaysOnItsHost) {
  AddVcluster(7, 1);
  ApplyAll();
  const std::vector<OvsNode> nodes = StartNodes(7);
  ApplyAll();
  MeetHosts(nodes);
  const UniqueFd near = Listen(nodes[1].space);
  const UniqueFd far = Listen(nodes[2].space);
  const UniqueFd between = Listen(fabric_);
  const Mac all = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  const Mac group = {1, 0, 0x5e, 0, 0, 0xfb};
  for (const Mac& to : {all, group}) {
    SendFrame(nodes[0], Ipv4Frame(to, nodes[0].mac, A(nodes[0].address), A("10.90.1.255")));
  }
  for (uint32_t to : {1, 2}) EXPECT_TRUE(Reaches(nodes[0], nodes[to]));
  EXPECT_EQ(CountWith(near, kMark), 2);
  EXPECT_EQ(CountWith(far, kMark), 0);
  EXPECT_EQ(CountWith(between, kMark), 0) << "the tunnel is not for what the other end drops";
  SendFrame(nodes[0],
            Ipv4Frame(nodes[2].mac, nodes[0].mac, A(nodes[0].address), A(nodes[2].address)));
  EXPECT_TRUE(Reaches(nodes[0], nodes[2]));
  EXPECT_GT(CountWith(between, kMark), 0) << "this test sees nothing";
}

TEST_P(OvsSwitchTest, ATunnelTakesWhatIsFromARemoteNodeAndItsOwnHost) {
  AddVcluster(7, 1);
  ApplyAll();
  const std::vector<OvsNode> nodes = StartNodes(7);
  MeetHosts(nodes);
  // To host 1, node 0 is at another host now.
  for (RemoteNode& remote : hosts_[1].desired.bridges[0].overlay->remotes) {
    remote.host = A("192.0.2.77");
  }
  ApplyAll();
  hosts_[1].Settle();
  const UniqueFd listener = Listen(nodes[2].space);
  SendFrame(nodes[0],
            Ipv4Frame(nodes[2].mac, nodes[0].mac, A(nodes[0].address), A(nodes[2].address)));
  EXPECT_FALSE(Reaches(nodes[0], nodes[2], Protocol::kUdp, kSilence));
  EXPECT_EQ(CountWith(listener, kMark), 0);
}

TEST_P(OvsSwitchTest, ALinkThatIsMadeAgainIsTakenInAgain) {
  AddVcluster(7, 1);
  ApplyAll();
  std::vector<OvsNode> nodes = StartNodes(7);
  ApplyAll();
  MeetHosts(nodes);
  ASSERT_TRUE(Reaches(nodes[1], nodes[2]));
  hosts_[0].space.Ip({"link", "del", nodes[1].veth});
  ApplyAll();
  nodes[1] = hosts_[0].StartNode(7, 1);
  ApplyAll();
  hosts_[0].Settle();
  EXPECT_TRUE(Reaches(nodes[1], nodes[2]));
  EXPECT_TRUE(Reaches(nodes[0], nodes[1]));
  ExpectDone();
}

TEST_P(OvsSwitchTest, ANodeThatMovesKeepsItsAddressAndItsPeers) {
  AddVcluster(7, 1);
  ApplyAll();
  std::vector<OvsNode> nodes = StartNodes(7);
  ApplyAll();
  MeetHosts(nodes);
  ASSERT_TRUE(Reaches(nodes[0], nodes[1]));
  hosts_[0].space.Ip({"link", "del", nodes[1].veth});
  std::erase_if(hosts_[0].desired.veths, [](const Veth& veth) { return veth.index == 1; });
  hosts_[0].desired.bridges[0].overlay->remotes.push_back(
      {A(nodes[1].address), nodes[1].mac, A(HostAddress(1))});
  std::erase_if(hosts_[1].desired.bridges[0].overlay->remotes,
                [&](const RemoteNode& one) { return one.address == A(nodes[1].address); });
  hosts_[1].WantNode(7, 1);
  ApplyAll();
  nodes[1] = hosts_[1].StartNode(7, 1);
  for (OvsHost& host : hosts_) host.Settle();
  for (uint32_t peer : {0, 2}) {
    EXPECT_TRUE(Reaches(nodes[peer], nodes[1])) << peer;
    EXPECT_TRUE(Reaches(nodes[1], nodes[peer])) << peer;
  }
  ExpectDone();
}

TEST_P(OvsSwitchTest, MendsWhatOthersChange) {
  AddVcluster(7, 1);
  ApplyAll();
  const std::vector<OvsNode> nodes = StartNodes(7);
  ApplyAll();
  MeetHosts(nodes);
  OvsHost& host = hosts_[0];
  const std::string bridge = host.desired.bridges[0].name;
  const std::string tunnel = host.desired.bridges[0].tunnel();
  const std::string veth = nodes[0].veth;
  const std::string join = "priority=200,actions=NORMAL";
  const std::vector<std::vector<std::string>> of_flows = {
      {"del-flows", bridge},
      {"del-flows", bridge, "table=3"},
      {"del-flows", bridge, "arp"},
      {"add-flow", bridge, join},
      {"mod-flows", bridge, "table=3,actions=drop"},
  };
  for (const auto& words : of_flows) {
    host.Ofctl(words);
    EXPECT_NE(Words(host.PlanSwitch()), "") << ::testing::PrintToString(words);
    host.Apply();
    EXPECT_EQ(Words(host.PlanSwitch()), "") << ::testing::PrintToString(words);
  }
  const std::vector<std::vector<std::string>> of_rows = {
      {"del-port", bridge, veth},
      {"del-port", bridge, tunnel},
      {"set", "interface", tunnel, "options:key=9"},
      {"set", "interface", tunnel, "options:remote_ip=192.0.2.77"},
      {"set", "interface", veth, "ofport_request=7"},
      {"set", "interface", bridge, "mtu_request=1300"},
      {"clear", "port", veth, "qos"},
      {"set-controller", bridge, "tcp:127.0.0.1:6653"},
      {"set-fail-mode", bridge, "standalone"},
      {"set", "bridge", bridge, "other_config:hwaddr=02:00:00:00:00:02"},
      {"set", "bridge", bridge, "protocols=OpenFlow10"},
      {"del-br", bridge},
  };
  for (const auto& words : of_rows) {
    host.Vsctl(words);
    EXPECT_NE(Words(host.PlanSwitch()), "") << ::testing::PrintToString(words);
    host.Apply();
    EXPECT_EQ(Words(host.PlanSwitch()), "") << ::testing::PrintToString(words);
  }
  host.Settle();
  for (uint32_t to : {1, 2}) EXPECT_TRUE(Reaches(nodes[0], nodes[to])) << to;
}

TEST_P(OvsSwitchTest, DaemonsThatWereKilledAreNamedAndFindEverythingAgain) {
  AddVcluster(7, 1);
  ApplyAll();
  const std::vector<OvsNode> nodes = StartNodes(7);
  ApplyAll();
  MeetHosts(nodes);
  OvsHost& host = hosts_[0];
  host.Open({.tunnel = GetParam(), .patience = std::chrono::seconds(1)});
  const auto expect_unavailable = [&](const std::string& named) {
    const Status applied = host.TryApply();
    ASSERT_FALSE(applied.ok());
    EXPECT_EQ(applied.error().code(), Code::kUnavailable);
    EXPECT_NE(applied.error().message().find(named), std::string::npos)
        << applied.error().message();
    EXPECT_NE(applied.error().message().find("systemctl start openvswitch-switch"),
              std::string::npos);
  };
  host.KillSwitch();
  expect_unavailable(host.dir() + "/" + host.desired.bridges[0].name + ".mgmt");
  host.WantNode(7, 9);
  expect_unavailable(host.dir() + "/db.sock");
  host.KillDatabase();
  expect_unavailable(host.dir() + "/db.sock");
  host.StartDatabase();
  host.StartSwitch();
  host.Open({.tunnel = GetParam()});
  host.Vsctl({"set", "Open_vSwitch", ".", "external_ids:wait=done"});  // Until it follows.
  host.AddressUnderlay();
  host.Apply();
  EXPECT_EQ(Words(host.PlanSwitch()), "");
  MeetHosts(nodes);
  EXPECT_TRUE(Reaches(nodes[0], nodes[1]));
}

TEST_P(OvsSwitchTest, TakenDownItLeavesWhatIsOfOthers) {
  AddVcluster(7, 1);
  AddVcluster(8, 2);
  ApplyAll();
  const std::vector<OvsNode> nodes = StartNodes(7);
  MeetHosts(nodes);
  OvsHost& host = hosts_[0];
  const std::string datapath(DatapathName(TestDatapath()));
  host.Vsctl({"add-br", "other0", "--", "set", "bridge", "other0", "datapath_type=" + datapath});
  ApplyAll();
  std::erase_if(host.desired.bridges, [](const Bridge& bridge) { return bridge.number == 8; });
  std::erase_if(host.desired.veths, [](const Veth& veth) { return veth.network == 8; });
  host.Apply();
  host.Settle();
  EXPECT_TRUE(Reaches(nodes[0], nodes[2]));
  host.desired.bridges.clear();
  host.desired.veths.clear();
  host.Apply();
  EXPECT_EQ(Words(host.PlanSwitch()), "");
  const bool is_netdev = TestDatapath() == Datapath::kNetdev;
  EXPECT_EQ(host.Vsctl({"list-br"}), is_netdev ? "other0\nphy0\n" : "other0\n");
  if (is_netdev) {
    EXPECT_EQ(host.Vsctl({"list-ports", "phy0"}), "up0\n");
  }
  EXPECT_EQ(host.Vsctl({"--columns=_uuid", "list", "qos"}), "");
  host.Vsctl({"del-br", "other0"});
  std::vector<std::string> names;
  for (const ObservedLink& link : host.space.In([] { return ObserveLinks().value(); })) {
    names.push_back(link.name);
  }
  std::sort(names.begin(), names.end());
  const std::vector<std::string> others = {"lo", "ovs-netdev", "phy0", "up0"};
  EXPECT_EQ(names, is_netdev ? others : (std::vector<std::string>{"lo", "up0"}));
}

}  // namespace
}  // namespace strata::net
