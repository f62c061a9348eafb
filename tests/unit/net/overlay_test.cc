// A Vcluster on three hosts: namespaces, joined by a bridge that stands for the hosts' network.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>

#include <array>
#include <chrono>
#include <cstring>

#include "tests/unit/net/test_host.h"
#include "tests/unit/net/traffic.h"

namespace strata::net {
namespace {

constexpr uint32_t kVni = 7;
constexpr int kHosts = 3;
constexpr int kNodesPerHost = 2;
constexpr char kOutsider[] = "192.0.2.254";

std::string HostAddress(int host) { return "192.0.2." + std::to_string(host + 1); }
Ipv4 A(const std::string& text) { return Ipv4::Parse(text).value(); }

// Counts frames in tunnels that pass "up0" of a host and are to no node: groups, and what is not of
// our locally administered addresses.
class StrayFrames {
 public:
  explicit StrayFrames(const NetNamespace& host)
      : fd_(host.In([] { return ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); })) {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),                   // Ethernet's type.
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_IP, 0, 8),  //
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 14 + 9),               // IP's protocol.
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 6),   //
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 14 + 20 + 2),          // UDP's destination port.
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kVxlanPort, 0, 4),    //
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 14 + 20 + 8 + 8),      // First byte of the inner
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 3),                   // destination.
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 2, 1, 0),             //
        BPF_STMT(BPF_RET | BPF_K, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const sock_fprog program = {std::size(code), code};
    CHECK(::setsockopt(fd_.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0);
    sockaddr_ll where = {};
    where.sll_family = AF_PACKET;
    where.sll_protocol = htons(ETH_P_ALL);
    where.sll_ifindex = host.In([] { return static_cast<int>(::if_nametoindex("up0")); });
    CHECK(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&where), sizeof(where)) == 0);
  }
  // Since the last call.
  unsigned Count() const {
    tpacket_stats stats = {};
    socklen_t size = sizeof(stats);
    CHECK(::getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0);
    return stats.tp_packets;
  }

 private:
  UniqueFd fd_;
};

// A VXLAN packet whose frame holds a UDP datagram from 10.90.1.200 to a node's port 6000.
std::string ForgedPacket(const Mac& destination, const std::string& address) {
  const std::array<uint8_t, 8> vxlan = {0x08, 0, 0, 0, 0, 0, kVni, 0};
  ether_header frame = {};
  std::memcpy(frame.ether_dhost, destination.data(), destination.size());
  frame.ether_shost[0] = 2;
  frame.ether_type = htons(ETHERTYPE_IP);
  udphdr udp = {};
  udp.source = htons(6001);
  udp.dest = htons(6000);
  udp.len = htons(sizeof(udp) + 1);
  iphdr ip = {};
  ip.version = 4;
  ip.ihl = 5;
  ip.ttl = 64;
  ip.protocol = IPPROTO_UDP;
  ip.tot_len = htons(sizeof(ip) + sizeof(udp) + 1);
  ip.saddr = htonl(A("10.90.1.200").value);
  ip.daddr = htonl(A(address).value);
  ip.check = Checksum(&ip, sizeof(ip));
  std::string packet;
  const auto append = [&](const auto& part) {
    packet.append(reinterpret_cast<const char*>(&part), sizeof(part));
  };
  append(vxlan);
  append(frame);
  append(ip);
  append(udp);
  return packet + "!";
}

void SendDatagram(const NetNamespace& from, const std::string& address, uint16_t port,
                  const std::string& data) {
  const UniqueFd fd(from.In([] { return ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); }));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
  const sockaddr_in to = Address(address, port);
  EXPECT_EQ(::sendto(fd.get(), data.data(), data.size(), 0, reinterpret_cast<const sockaddr*>(&to),
                     sizeof(to)),
            static_cast<ssize_t>(data.size()));
}

// A frame from "eth0", with a source of its own choice, to a MAC that nobody has.
void SendToUnknownMac(const NetNamespace& from, const Mac& source = {2, 1, 2, 3, 4, 5}) {
  from.In([&] {
    const UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    ether_header frame = {{0, 1, 2, 3, 4, 5}, {}, htons(0x88b5)};
    std::memcpy(frame.ether_shost, source.data(), source.size());
    std::string bytes(60, '\0');
    std::memcpy(bytes.data(), &frame, sizeof(frame));
    sockaddr_ll where = {};
    where.sll_family = AF_PACKET;
    where.sll_ifindex = static_cast<int>(::if_nametoindex("eth0"));
    EXPECT_EQ(::sendto(fd.get(), bytes.data(), bytes.size(), 0,
                       reinterpret_cast<const sockaddr*>(&where), sizeof(where)),
              60);
  });
}

class OverlayTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fabric_.Ip({"link", "add", "br0", "type", "bridge"});
    fabric_.Ip({"addr", "add", std::string(kOutsider) + "/24", "dev", "br0"});
    fabric_.Ip({"link", "set", "br0", "up"});
    for (int host = 0; host < kHosts; ++host) {
      const std::string port = "h" + std::to_string(host);
      Join(hosts_[host].space, "up0", HostAddress(host) + "/24", fabric_, port, "");
      fabric_.Ip({"link", "set", port, "master", "br0"});
      Bridge& bridge = hosts_[host].AddBridge(1);
      bridge.overlay = {.vni = kVni, .local = A(HostAddress(host))};
      for (int node = 0; node < kHosts * kNodesPerHost; ++node) {
        if (node / kNodesPerHost == host) continue;
        const Ipv4 address = bridge.prefix.Host(kFirstNodeHost + static_cast<uint32_t>(node));
        bridge.overlay->remotes.push_back(
            {address, MacForNode(kVni, address), A(HostAddress(node / kNodesPerHost))});
      }
    }
    // Rules that see bridged frames, and such that do not, must do.
    hosts_[0].space.Set("net/bridge/bridge-nf-call-iptables", "0");
    for (TestHost& host : hosts_) {
      // What devices of the host say of themselves would be counted as floods.
      host.space.Set("net/ipv6/conf/default/disable_ipv6", "1");
      host.desired = WithoutIpv6(host.desired);
      host.Apply();
    }
    for (int node = 0; node < kHosts * kNodesPerHost; ++node) {
      nodes_.push_back(hosts_[node / kNodesPerHost].AddNode(1, static_cast<uint32_t>(node)));
    }
    for (TestHost& host : hosts_) host.Apply();
  }

  Overlay& OverlayOf(int host) { return *hosts_[host].desired.bridges[0].overlay; }

  NetNamespace fabric_;
  std::array<TestHost, kHosts> hosts_;
  std::vector<TestNode> nodes_;
};

TEST_F(OverlayTest, AllNodesReachEachOtherWithFullFrames) {
  for (const TestNode& from : nodes_) {
    for (const TestNode& to : nodes_) {
      if (&from == &to) continue;
      const std::string pair = from.address + " to " + to.address;
      EXPECT_TRUE(Ping(from.space, to.address, 1450)) << pair;
      EXPECT_FALSE(Ping(from.space, to.address, 1451, kSilence)) << pair;
      EXPECT_TRUE(Transfer(from, to, 256 << 10)) << pair;
    }
  }
}

TEST_F(OverlayTest, NothingLeavesAHostButWhatIsToAKnownNode) {
  std::vector<StrayFrames> watched;
  for (const TestHost& host : hosts_) watched.emplace_back(host.space);
  const auto strays = [&] {
    unsigned count = 0;
    for (const StrayFrames& frames : watched) count += frames.Count();
    return count;
  };
  const auto flood = [&] {
    for (const TestNode& node : nodes_) {
      SendDatagram(node.space, "10.90.1.255", 9, "broadcast");
      SendDatagram(node.space, "255.255.255.255", 9, "broadcast");
      SendDatagram(node.space, "224.0.0.251", 9, "a group");
      SendDatagram(node.space, "239.1.2.3", 9, "another");
      SendDatagram(node.space, "10.90.1.99", 9, "ARP for nobody");
      SendToUnknownMac(node.space);
      // What is sent here comes after all of that.
      for (const TestNode& to : nodes_) EXPECT_TRUE(&node == &to || Ping(node.space, to.address));
    }
  };
  for (TestHost& host : hosts_) SendDatagram(host.space, "10.90.1.255", 9, "the gateway's");
  flood();
  EXPECT_EQ(strays(), 0u);

  // The tunnel has nowhere to flood to. Were it told, it would still get nothing of the nodes'.
  const std::string tunnel = hosts_[0].desired.bridges[0].tunnel();
  const auto told = hosts_[0].space.In([&] {
    return RunChecked({"bridge", "fdb", "append", "00:00:00:00:00:00", "dev", tunnel, "dst",
                       HostAddress(1), "self"});
  });
  EXPECT_TRUE(told.ok()) << told.error().message();
  flood();
  EXPECT_EQ(strays(), 0u);
  hosts_[0].space.Ip({"link", "set", tunnel, "type", "bridge_slave", "bcast_flood", "on"});
  flood();
  EXPECT_GT(strays(), 0u) << "this test sees nothing";
}

TEST_F(OverlayTest, TunnelsTakeNoRoomAmongTheConnectionsOfTheHost) {
  constexpr int kConnections = 30;
  const UniqueFd server = OpenServer(nodes_[2].space, Protocol::kTcp, 80);
  for (int i = 0; i < kConnections; ++i) {
    EXPECT_TRUE(AskWho(nodes_[0].space, Protocol::kTcp, nodes_[2].address, 80, server));
  }
  const auto count =
      hosts_[0].space.In([] { return ReadFile("/proc/sys/net/netfilter/nf_conntrack_count", 16); });
  // The bridge itself joins a group or two.
  EXPECT_LT(std::stoi(count.value()), kConnections / 2);
}

TEST_F(OverlayTest, EveryHostIsTheGatewayOfItsNodes) {
  const UniqueFd server = OpenServer(fabric_, Protocol::kTcp, 80);
  for (int node = 0; node < kHosts * kNodesPerHost; ++node) {
    EXPECT_TRUE(Ping(nodes_[node].space, "10.90.1.1"));
    EXPECT_EQ(AskWho(nodes_[node].space, Protocol::kTcp, kOutsider, 80, server),
              A(HostAddress(node / kNodesPerHost)));
  }
  for (const TestHost& host : hosts_) {
    for (const ObservedLink& link : host.space.In([] { return ObserveLinks().value(); })) {
      if (link.name != host.desired.bridges[0].name) continue;
      EXPECT_EQ(link.mac, MacForGateway(kVni));
    }
  }
}

TEST_F(OverlayTest, ARemoteThatIsTakenAwayIsOutOfReachAndTheOthersAreNot) {
  ASSERT_TRUE(Ping(nodes_[0].space, nodes_[4].address));
  auto& remotes = OverlayOf(0).remotes;
  std::erase_if(remotes,
                [&](const RemoteNode& one) { return one.address == A(nodes_[4].address); });
  const NetworkPlan plan = hosts_[0].Plan();
  EXPECT_EQ(plan.delete_fdb.size() + plan.delete_neighbours.size(), 2u);
  hosts_[0].Apply();
  EXPECT_TRUE(IsDone(hosts_[0].Plan()));
  EXPECT_FALSE(Ping(nodes_[0].space, nodes_[4].address, 100, kSilence));
  EXPECT_TRUE(Ping(nodes_[0].space, nodes_[5].address));
  EXPECT_TRUE(Ping(nodes_[2].space, nodes_[4].address));
}

TEST_F(OverlayTest, ANodeThatMovesKeepsItsAddressAndItsPeers) {
  const Ipv4 moved = A(nodes_[4].address);
  ASSERT_TRUE(Ping(nodes_[0].space, nodes_[4].address));
  hosts_[2].space.Ip({"link", "del", nodes_[4].veth});
  std::erase_if(OverlayOf(1).remotes, [&](const RemoteNode& one) { return one.address == moved; });
  for (RemoteNode& one : OverlayOf(0).remotes) {
    if (one.address == moved) one.host = A(HostAddress(1));
  }
  OverlayOf(2).remotes.push_back({moved, MacForNode(kVni, moved), A(HostAddress(1))});
  for (TestHost& host : hosts_) host.Apply();
  nodes_[4] = hosts_[1].AddNode(1, 4);
  hosts_[1].Apply();
  for (const int from : {0, 2, 5}) EXPECT_TRUE(Ping(nodes_[from].space, nodes_[4].address)) << from;
}

TEST_F(OverlayTest, AnApplyLeavesNothingToDoAndRepairsWhatOthersBroke) {
  EXPECT_TRUE(IsDone(hosts_[0].Plan()));
  const Bridge& bridge = hosts_[0].desired.bridges[0];
  const std::string tunnel = bridge.tunnel();
  const NetNamespace& space = hosts_[0].space;
  const std::string mac = ToString(OverlayOf(0).remotes[0].mac);
  const auto run = [&](const std::vector<std::string>& argv) {
    const auto done = space.In([&] { return RunChecked(argv); });
    EXPECT_TRUE(done.ok()) << done.error().message();
  };
  const std::vector<std::vector<std::string>> breakages = {
      {"bridge", "fdb", "del", mac, "dev", tunnel, "self"},
      {"bridge", "fdb", "del", mac, "dev", tunnel, "master"},
      {"bridge", "fdb", "replace", mac, "dev", tunnel, "dst", "192.0.2.77", "self"},
      {"bridge", "fdb", "add", "02:00:00:00:00:01", "dev", tunnel, "dst", "192.0.2.77", "self"},
      {"bridge", "link", "set", "dev", tunnel, "flood", "on"},
      {"bridge", "link", "set", "dev", tunnel, "learning", "on"},
      {"bridge", "link", "set", "dev", tunnel, "neigh_suppress", "off"},
      {"ip", "neigh", "del", "10.90.1.4", "dev", bridge.name},
      {"ip", "neigh", "add", "10.90.1.77", "lladdr", mac, "dev", bridge.name},
      {"ip", "link", "set", tunnel, "nomaster"},
      {"ip", "link", "set", tunnel, "down"},
      {"ip", "link", "set", tunnel, "mtu", "1400"},
      {"ip", "link", "del", tunnel},
      {"ip", "link", "set", bridge.name, "mtu", "1300"},
      {"ip", "link", "set", bridge.name, "address", "02:00:00:00:00:02"},
      {"ip", "link", "del", bridge.name},
  };
  for (const auto& breakage : breakages) {
    run(breakage);
    EXPECT_FALSE(IsDone(hosts_[0].Plan())) << ::testing::PrintToString(breakage);
    hosts_[0].Apply();
    EXPECT_TRUE(IsDone(hosts_[0].Plan())) << ::testing::PrintToString(breakage);
  }
  for (const int node : {0, 1}) space.Ip({"link", "set", nodes_[node].veth, "master", bridge.name});
  EXPECT_TRUE(Ping(nodes_[0].space, nodes_[2].address, 1450));
}

TEST_F(OverlayTest, FramesAreTakenOnlyFromHostsThatHaveNodes) {
  const UniqueFd server = OpenServer(nodes_[2].space, Protocol::kUdp, 6000);
  SetPatience(server, kAnswer);
  const std::string packet =
      ForgedPacket(MacForNode(kVni, A(nodes_[2].address)), nodes_[2].address);
  char byte = 0;
  SendDatagram(hosts_[2].space, HostAddress(1), kVxlanPort, packet);
  EXPECT_EQ(::recv(server.get(), &byte, 1, 0), 1) << "the packet is as it should be";
  SetPatience(server, kSilence);
  SendDatagram(fabric_, HostAddress(1), kVxlanPort, packet);
  EXPECT_EQ(::recv(server.get(), &byte, 1, 0), -1);
  // A node's packet would come from its host's address.
  SendDatagram(nodes_[4].space, HostAddress(1), kVxlanPort, packet);
  EXPECT_EQ(::recv(server.get(), &byte, 1, 0), -1);
}

TEST_F(OverlayTest, ANodeCannotTakeTheMacOfARemoteOneOver) {
  SendToUnknownMac(nodes_[0].space, MacForNode(kVni, A(nodes_[2].address)));
  EXPECT_TRUE(Ping(nodes_[1].space, nodes_[2].address));
}

TEST_F(OverlayTest, TwoStratasOnOneHostNeedTwoPorts) {
  TestHost& host = hosts_[0];
  DesiredNetwork other = host.desired;
  other.instance = "cd456";
  other.bridges[0].name = BridgeName("cd456", 1);
  other.bridges[0].prefix = Ipv4Prefix::Parse("10.90.9.0/24").value();
  other.bridges[0].overlay->remotes.clear();
  other.veths.clear();
  RulesInForce rules;
  const auto apply = [&] {
    return host.space.In(
        [&] { return ApplyPlan(MakePlan(other, ObserveLinks().value()).value(), &rules); });
  };
  const auto same_port = apply();
  ASSERT_FALSE(same_port.ok());
  EXPECT_NE(same_port.error().message().find("VNI 7 at UDP port 4789"), std::string::npos)
      << same_port.error().message();
  other.bridges[0].overlay->port = 8472;
  EXPECT_TRUE(apply().ok());
  EXPECT_TRUE(Ping(nodes_[0].space, nodes_[2].address));
  EXPECT_TRUE(IsDone(host.Plan()));
  other.bridges.clear();
  EXPECT_TRUE(apply().ok());
  EXPECT_TRUE(Ping(nodes_[0].space, nodes_[2].address));
}

TEST_F(OverlayTest, TakenDownItLeavesNothing) {
  for (TestHost& host : hosts_) {
    host.desired.bridges.clear();
    host.desired.veths.clear();
    host.Apply();
    EXPECT_TRUE(IsDone(host.Plan()));
    std::vector<std::string> names;
    for (const ObservedLink& link : host.space.In([] { return ObserveLinks().value(); })) {
      names.push_back(link.name);
    }
    EXPECT_EQ(names, (std::vector<std::string>{"lo", "up0"}));
    EXPECT_EQ(host.space.In([] { return RunChecked({"nft", "list", "tables"}).value(); }), "");
    (void)OpenServer(host.space, Protocol::kUdp, kVxlanPort);  // The port is free again.
  }
}

}  // namespace
}  // namespace strata::net
