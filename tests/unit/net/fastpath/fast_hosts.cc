#include "tests/unit/net/fastpath/fast_hosts.h"

#include <netinet/ip.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cstring>
#include <numeric>

namespace strata::net {

std::string HostAddress(int host) { return "192.0.2." + std::to_string(host + 1); }

bool Reaches(const TestNode& from, const TestNode& to) {
  return std::ranges::all_of(std::array{Protocol::kTcp, Protocol::kUdp}, [&](Protocol protocol) {
    const UniqueFd server = OpenServer(to.space, protocol, kPort);
    return AskWho(from.space, protocol, to.address, kPort, server) == A(from.address);
  });
}

std::string MakeFrame(const TestNode& to, const Mac& source_mac, const std::string& source,
                      uint16_t type) {
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

void FastHosts::SetUp() {
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
  for (TestHost& host : hosts_) host.Apply();  // Of nodes that nobody has announced nothing passes.
  for (int host = 0; host < kWithFastPath; ++host) {
    paths_[host] = Open(host);
    Keep(host);
  }
}

std::unique_ptr<FastPath> FastHosts::Open(int host) {
  return hosts_[host].space.In([] {
    auto opened = FastPath::Open();
    EXPECT_TRUE(opened.ok()) << opened.error().message();
    return std::move(opened.value());
  });
}

bool FastHosts::Keep(int host, const std::set<std::string>& kept_off) {
  return hosts_[host].space.In([&] {
    const auto kept = paths_[host]->Keep(hosts_[host].desired, ObserveLinks().value(), kept_off);
    EXPECT_TRUE(kept.ok()) << kept.error().message();
    return kept.value_or(false);
  });
}

uint64_t FastHosts::CountAll() const {
  uint64_t all = 0;
  for (int host = 0; host < kWithFastPath; ++host) {
    const FastProgram::Counts counts = paths_[host]->Count().value();
    all += std::accumulate(counts.begin(), counts.end(), uint64_t{0});
  }
  return all;
}

}  // namespace strata::net
