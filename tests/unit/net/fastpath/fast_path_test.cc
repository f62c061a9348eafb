// A Vcluster on three hosts, of which two have the fast path and one has not.
#include "net/fastpath/fast_path.h"

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <numeric>

#include "tests/unit/net/test_host.h"
#include "tests/unit/net/traffic.h"

namespace strata::net {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint32_t kVni = 7;
constexpr uint32_t kNetwork = 1;
constexpr int kHosts = 3;
constexpr int kWithFastPath = 2;
constexpr int kNodesPerHost = 2;
constexpr uint16_t kPort = 5001;
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);

std::string HostAddress(int host) { return "192.0.2." + std::to_string(host + 1); }
Ipv4 A(const std::string& text) { return Ipv4::Parse(text).value(); }

// One message there and back by each protocol, from the address that is the sender's own.
bool Reaches(const TestNode& from, const TestNode& to) {
  return std::ranges::all_of(std::array{Protocol::kTcp, Protocol::kUdp}, [&](Protocol protocol) {
    const UniqueFd server = OpenServer(to.space, protocol, kPort);
    return AskWho(from.space, protocol, to.address, kPort, server) == A(from.address);
  });
}

// Ids of the programs at this link's tcx ingress.
std::vector<uint32_t> ProgramsAt(const NetNamespace& host, const std::string& link) {
  return host.In([&] {
    std::vector<uint32_t> ids(16);
    auto count = static_cast<uint32_t>(ids.size());
    const auto index = static_cast<int>(::if_nametoindex(link.c_str()));
    CHECK(index > 0 && bpf_prog_query(index, kTcxIngress, 0, nullptr, ids.data(), &count) == 0);
    ids.resize(count);
    return ids;
  });
}

std::vector<uint32_t> MapsOf(uint32_t program) {
  const UniqueFd fd(bpf_prog_get_fd_by_id(program));
  std::vector<uint32_t> maps(16);
  bpf_prog_info info = {};
  info.nr_map_ids = static_cast<uint32_t>(maps.size());
  info.map_ids = reinterpret_cast<uintptr_t>(maps.data());
  uint32_t size = sizeof(info);
  CHECK(bpf_obj_get_info_by_fd(fd.get(), &info, &size) == 0);
  maps.resize(info.nr_map_ids);
  return maps;
}

// The kernel frees a moment after the last user is gone.
bool IsFreed(int (*open)(uint32_t), uint32_t id) {
  const Clock::time_point deadline = Clock::now() + kAnswer;
  while (Clock::now() < deadline) {
    if (!UniqueFd(open(id)).valid()) return true;
    ::sched_yield();
  }
  return false;
}

class FastPathTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fabric_.Ip({"link", "add", "br0", "type", "bridge"});
    fabric_.Ip({"link", "set", "br0", "up"});
    for (int host = 0; host < kHosts; ++host) {
      const std::string port = "h" + std::to_string(host);
      Join(hosts_[host].space, "up0", HostAddress(host) + "/24", fabric_, port, "");
      fabric_.Ip({"link", "set", port, "master", "br0"});
      Bridge& bridge = hosts_[host].AddBridge(kNetwork);
      bridge.overlay = {.vni = kVni, .local = A(HostAddress(host))};
      for (int node = 0; node < kHosts * kNodesPerHost; ++node) {
        if (node / kNodesPerHost == host) continue;
        const Ipv4 address = bridge.prefix.Host(kFirstNodeHost + static_cast<uint32_t>(node));
        bridge.overlay->remotes.push_back(
            {address, MacForNode(kVni, address), A(HostAddress(node / kNodesPerHost))});
      }
      hosts_[host].Apply();
    }
    for (int node = 0; node < kHosts * kNodesPerHost; ++node) {
      nodes_.push_back(hosts_[node / kNodesPerHost].AddNode(kNetwork, static_cast<uint32_t>(node)));
    }
    for (TestHost& host : hosts_)
      host.Apply();  // Of nodes that nobody has announced nothing passes.
    for (int host = 0; host < kWithFastPath; ++host) {
      paths_[host] = Open(host);
      Keep(host);
    }
  }

  std::unique_ptr<FastPath> Open(int host) {
    return hosts_[host].space.In([] {
      auto opened = FastPath::Open();
      EXPECT_TRUE(opened.ok()) << opened.error().message();
      return std::move(opened.value());
    });
  }

  bool Keep(int host, const std::set<std::string>& kept_off = {}) {
    return hosts_[host].space.In([&] {
      const auto kept = paths_[host]->Keep(hosts_[host].desired, ObserveLinks().value(), kept_off);
      EXPECT_TRUE(kept.ok()) << kept.error().message();
      return kept.value_or(false);
    });
  }

  uint64_t Count(int host, FastCount what) const { return paths_[host]->Count().value()[what]; }
  uint64_t CountAll() const {
    uint64_t all = 0;
    for (int host = 0; host < kWithFastPath; ++host) {
      const FastProgram::Counts counts = paths_[host]->Count().value();
      all += std::accumulate(counts.begin(), counts.end(), uint64_t{0});
    }
    return all;
  }
  Overlay& OverlayOf(int host) { return *hosts_[host].desired.bridges[0].overlay; }

  NetNamespace fabric_;
  std::array<TestHost, kHosts> hosts_;
  std::vector<TestNode> nodes_;
  std::array<std::unique_ptr<FastPath>, kWithFastPath> paths_;
};

TEST_F(FastPathTest, AllNodesReachEachOtherWhicheverHostsHaveIt) {
  for (const TestNode& from : nodes_) {
    for (const TestNode& to : nodes_) {
      if (&from == &to) continue;
      EXPECT_TRUE(Reaches(from, to)) << from.address << " to " << to.address;
      EXPECT_TRUE(Transfer(from, to, 1 << 20)) << from.address << " to " << to.address;
    }
  }
  for (int host = 0; host < kWithFastPath; ++host) {
    EXPECT_GT(Count(host, kFastWithinHost), 0u);
    EXPECT_GT(Count(host, kFastSent), 0u);
    EXPECT_GT(Count(host, kFastReceived), 0u);
    EXPECT_EQ(paths_[host]->nodes(), 2u);
    EXPECT_FALSE(Keep(host)) << "there is something left to do";
  }
}

TEST_F(FastPathTest, CarriesAllOfItBetweenNodesThatHaveAPart) {
  const std::string bridge = hosts_[0].desired.bridges[0].name;
  EXPECT_TRUE(Reaches(nodes_[0], nodes_[1]));  // Who is who has been asked then.
  EXPECT_TRUE(Reaches(nodes_[0], nodes_[2]));
  const auto passed = [&] {
    // Of IPv4; the rules see bridged frames.
    const auto listed = hosts_[0].space.In([] {
      return RunChecked({"nft", "list", "counter", "bridge", "test", "passed"});
    });
    EXPECT_TRUE(listed.ok()) << listed.error().message();
    return listed->substr(listed->find("packets"), listed->find("bytes") - listed->find("packets"));
  };
  const auto added = hosts_[0].space.In([] {
    return RunChecked({"nft",
                       "add table bridge test; add counter bridge test passed;"
                       "add chain bridge test c { type filter hook prerouting priority 0; };"
                       "add rule bridge test c ether type ip counter name passed"});
  });
  ASSERT_TRUE(added.ok()) << added.error().message();
  EXPECT_TRUE(Transfer(nodes_[0], nodes_[1], 1 << 20));
  EXPECT_TRUE(Transfer(nodes_[0], nodes_[2], 1 << 20));
  EXPECT_EQ(passed(), "packets 0 ");
  paths_[0].reset();
  EXPECT_TRUE(Transfer(nodes_[0], nodes_[1], 1 << 20));
  EXPECT_NE(passed(), "packets 0 ") << "this test sees nothing";
}

// A frame of UDP to `to`, with whatever source.
std::string MakeFrame(const TestNode& to, const Mac& source_mac, const std::string& source,
                      uint16_t type = ETHERTYPE_IP) {
  ether_header frame = {};
  const Mac mac = MacForNode(kVni, A(to.address));
  std::memcpy(frame.ether_dhost, mac.data(), mac.size());
  std::memcpy(frame.ether_shost, source_mac.data(), source_mac.size());
  frame.ether_type = htons(type);
  iphdr ip = {};
  ip.version = 4;
  ip.ihl = 5;
  ip.ttl = 64;
  ip.protocol = IPPROTO_UDP;
  ip.tot_len = htons(sizeof(ip) + sizeof(udphdr));
  ip.saddr = htonl(A(source).value);
  ip.daddr = htonl(A(to.address).value);
  std::string bytes(60, '\0');
  std::memcpy(bytes.data(), &frame, sizeof(frame));
  std::memcpy(bytes.data() + sizeof(frame), &ip, sizeof(ip));
  return bytes;
}

// From "eth0".
void SendFrame(const TestNode& from, const std::string& frame) {
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

TEST_F(FastPathTest, TakesOnlyIpv4ThatANodeSendsAsItself) {
  const std::string& address = nodes_[0].address;
  const Mac own = MacForNode(kVni, A(address));
  const Mac other = MacForNode(kVni, A(nodes_[1].address));
  for (const int to : {1, 2}) {
    const uint64_t before = CountAll();
    SendFrame(nodes_[0], MakeFrame(nodes_[to], other, address));
    SendFrame(nodes_[0], MakeFrame(nodes_[to], own, nodes_[1].address));
    SendFrame(nodes_[0], MakeFrame(nodes_[to], own, "192.0.2.99"));
    SendFrame(nodes_[0], MakeFrame(nodes_[to], own, address, 0x88b5));
    SendFrame(nodes_[0], MakeFrame(nodes_[0], own, address));
    EXPECT_EQ(CountAll(), before);
    SendFrame(nodes_[0], MakeFrame(nodes_[to], own, address));
    EXPECT_GT(CountAll(), before) << "this test sees nothing";
  }
}

TEST_F(FastPathTest, ATunnelBringsFramesToNodesOfThisHostOnly) {
  const Mac source = MacForNode(kVni, A(nodes_[4].address));
  const std::string header = {0x08, 0, 0, 0, 0, 0, static_cast<char>(kVni), 0};
  const auto send = [&](const TestNode& to) {  // From host 2 to host 0, wherever the node is.
    const std::string packet = header + MakeFrame(to, source, nodes_[4].address);
    const UniqueFd fd(
        hosts_[2].space.In([] { return ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); }));
    const sockaddr_in host = Address(HostAddress(0), kVxlanPort);
    EXPECT_EQ(::sendto(fd.get(), packet.data(), packet.size(), 0,
                       reinterpret_cast<const sockaddr*>(&host), sizeof(host)),
              static_cast<ssize_t>(packet.size()));
  };
  send(nodes_[2]);
  send(nodes_[4]);
  EXPECT_EQ(CountAll(), 0u);
  send(nodes_[0]);
  EXPECT_EQ(Count(0, kFastReceived), 1u) << "this test sees nothing";
}

TEST_F(FastPathTest, ALimitOfANodeHoldsForWhatItSendsAndWhatItReceives) {
  EXPECT_TRUE(Reaches(nodes_[0], nodes_[1]));
  hosts_[0].desired.veths[0].bits_per_s_max = 20'000'000;
  hosts_[0].Apply();
  EXPECT_TRUE(Keep(0));
  EXPECT_TRUE(ProgramsAt(hosts_[0].space, nodes_[0].veth).empty());
  const uint64_t before = CountAll();
  for (const auto& [from, to] : {std::pair(0, 1), std::pair(1, 0)}) {
    const Clock::time_point start = Clock::now();
    EXPECT_TRUE(Transfer(nodes_[from], nodes_[to], 1 << 20));
    EXPECT_GT(Clock::now() - start, std::chrono::milliseconds(300)) << "0.42 s at its limit";
  }
  EXPECT_EQ(CountAll(), before);
  EXPECT_TRUE(Transfer(nodes_[2], nodes_[0], 1 << 17));  // From another host, which knows no limit.
  EXPECT_EQ(Count(0, kFastReceived), 0u);

  hosts_[0].desired.veths[0].bits_per_s_max = 0;
  hosts_[0].Apply();
  EXPECT_TRUE(Keep(0));
  const uint64_t within = Count(0, kFastWithinHost);
  EXPECT_TRUE(Reaches(nodes_[0], nodes_[1]));
  EXPECT_GT(Count(0, kFastWithinHost), within);
}

TEST_F(FastPathTest, ANodeThatIsKeptOffIsReachedOverTheBridge) {
  EXPECT_TRUE(Keep(0, {nodes_[0].veth}));
  const uint64_t before = CountAll();
  EXPECT_TRUE(Reaches(nodes_[0], nodes_[1]));
  EXPECT_TRUE(Reaches(nodes_[1], nodes_[0]));
  EXPECT_EQ(CountAll(), before);
  EXPECT_TRUE(Reaches(nodes_[1], nodes_[2]));
  EXPECT_GT(CountAll(), before);
}

TEST_F(FastPathTest, ANodeComesBackWithAnotherLink) {
  EXPECT_TRUE(Reaches(nodes_[1], nodes_[0]));
  hosts_[0].space.Ip({"link", "del", nodes_[0].veth});
  EXPECT_TRUE(Keep(0));
  EXPECT_EQ(paths_[0]->nodes(), 1u);
  hosts_[0].desired.veths.erase(hosts_[0].desired.veths.begin());
  nodes_[0] = hosts_[0].AddNode(kNetwork, 0);
  EXPECT_TRUE(Reaches(nodes_[0], nodes_[1])) << "over the bridge";
  EXPECT_TRUE(Keep(0));
  const uint64_t before = Count(0, kFastWithinHost);
  for (const int other : {1, 2, 4}) {
    EXPECT_TRUE(Reaches(nodes_[0], nodes_[other])) << other;
    EXPECT_TRUE(Reaches(nodes_[other], nodes_[0])) << other;
  }
  EXPECT_GT(Count(0, kFastWithinHost), before);
}

// Whoever makes a link may ask for a number.
TEST_F(FastPathTest, ANodeComesBackWithANumberThatWasAnothers) {
  const NetNamespace& host = hosts_[0].space;
  const std::string& veth = nodes_[0].veth;
  const auto index = host.In([&] { return ::if_nametoindex(veth.c_str()); });
  host.Ip({"link", "del", veth});
  host.Ip({"link", "add", veth, "index", std::to_string(index), "type", "veth", "peer", "name",
           "eth0", "netns", nodes_[0].space.path()});
  host.Ip({"link", "set", veth, "master", hosts_[0].desired.bridges[0].name, "up"});
  EXPECT_TRUE(ProgramsAt(host, veth).empty());
  EXPECT_TRUE(Keep(0));
  EXPECT_EQ(ProgramsAt(host, veth).size(), 1u);
}

TEST_F(FastPathTest, ANodeThatMovesKeepsItsPeers) {
  const Ipv4 moved = A(nodes_[1].address);
  for (const int peer : {0, 2, 4}) EXPECT_TRUE(Reaches(nodes_[peer], nodes_[1]));
  hosts_[0].space.Ip({"link", "del", nodes_[1].veth});
  hosts_[0].desired.veths.pop_back();
  std::erase_if(OverlayOf(1).remotes, [&](const RemoteNode& one) { return one.address == moved; });
  OverlayOf(0).remotes.push_back({moved, MacForNode(kVni, moved), A(HostAddress(1))});
  for (RemoteNode& one : OverlayOf(2).remotes) {
    if (one.address == moved) one.host = A(HostAddress(1));
  }
  for (TestHost& host : hosts_) host.Apply();
  nodes_[1] = hosts_[1].AddNode(kNetwork, 1);
  hosts_[1].Apply();
  for (int host = 0; host < kWithFastPath; ++host) EXPECT_TRUE(Keep(host));
  const uint64_t sent = Count(0, kFastSent);
  const uint64_t within = Count(1, kFastWithinHost);
  for (const int peer : {0, 2, 4}) {
    EXPECT_TRUE(Reaches(nodes_[peer], nodes_[1])) << peer;
    EXPECT_TRUE(Reaches(nodes_[1], nodes_[peer])) << peer;
  }
  EXPECT_GT(Count(0, kFastSent), sent);
  EXPECT_GT(Count(1, kFastWithinHost), within);
}

TEST_F(FastPathTest, ClearedItIsGoneUntilTheNextLook) {
  const NetNamespace& host = hosts_[0].space;
  ASSERT_TRUE(paths_[0]->Clear().ok());
  EXPECT_TRUE(ProgramsAt(host, nodes_[0].veth).empty());
  EXPECT_EQ(paths_[0]->nodes(), 0u);
  EXPECT_TRUE(Reaches(nodes_[0], nodes_[1]));
  EXPECT_EQ(Count(0, kFastWithinHost), 0u);
  EXPECT_TRUE(Keep(0));
  EXPECT_TRUE(Reaches(nodes_[0], nodes_[1]));
  EXPECT_GT(Count(0, kFastWithinHost), 0u);
}

// As on a kernel that lacks something.
TEST(FastPathProbeTest, SaysThatThereIsNoneWhereTheKernelRefuses) {
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    if (::setresuid(kNobody, kNobody, kNobody) != 0) ::_exit(1);
    const auto opened = FastPath::Open();
    if (opened.ok() || opened.error().code() != Code::kUnsupported) ::_exit(2);
    ::_exit(FastPath::OpenOrLog() == nullptr ? 0 : 3);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(FastPathTest, EndsWithItsObjectAndLeavesNothing) {
  const std::string tunnel = hosts_[0].desired.bridges[0].tunnel();
  const std::vector<uint32_t> programs = ProgramsAt(hosts_[0].space, nodes_[0].veth);
  ASSERT_EQ(programs.size(), 1u);
  EXPECT_EQ(ProgramsAt(hosts_[0].space, tunnel), programs);
  const std::vector<uint32_t> maps = MapsOf(programs[0]);
  EXPECT_EQ(maps.size(), 3u);
  paths_[0].reset();
  for (const std::string& link : {nodes_[0].veth, nodes_[1].veth, tunnel}) {
    EXPECT_TRUE(ProgramsAt(hosts_[0].space, link).empty()) << link;
  }
  EXPECT_TRUE(IsFreed(&bpf_prog_get_fd_by_id, programs[0]));
  for (const uint32_t map : maps) EXPECT_TRUE(IsFreed(&bpf_map_get_fd_by_id, map));
  EXPECT_TRUE(Reaches(nodes_[0], nodes_[1]));
  EXPECT_TRUE(Reaches(nodes_[2], nodes_[0]));
}

TEST_F(FastPathTest, EndsWithItsProcessAndIsMadeAnewByTheNext) {
  paths_[0].reset();
  std::array<int, 2> ready;
  ASSERT_EQ(::pipe2(ready.data(), O_CLOEXEC), 0);
  const UniqueFd reader(ready[0]);
  UniqueFd writer(ready[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    paths_[0] = Open(0);
    Keep(0);
    if (::write(writer.get(), "!", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  writer.reset();
  char byte = 0;
  ASSERT_EQ(::read(reader.get(), &byte, 1), 1);
  EXPECT_EQ(ProgramsAt(hosts_[0].space, nodes_[0].veth).size(), 1u);
  EXPECT_TRUE(Reaches(nodes_[0], nodes_[1]));
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(ProgramsAt(hosts_[0].space, nodes_[0].veth).empty());
  EXPECT_TRUE(Reaches(nodes_[0], nodes_[1]));
  paths_[0] = Open(0);
  EXPECT_TRUE(Keep(0));
  EXPECT_TRUE(Reaches(nodes_[0], nodes_[1]));
  EXPECT_GT(Count(0, kFastWithinHost), 0u);
}

}  // namespace
}  // namespace strata::net
