// Two hosts with a fabric between them, over a network that everybody may listen to: a bridge.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/unit/net/secure/fabric_host.h"
#include "tests/unit/net/traffic.h"

namespace strata::net {

inline constexpr char kMarker[] = "what nobody else may read";
inline constexpr char kOutsider[] = "192.0.2.254";
// A handshake that nobody answered is tried again after 5 s.
inline constexpr std::chrono::seconds kHandshake(20);

inline Ipv4 A(const std::string& text) { return Ipv4::Parse(text).value(); }
inline std::string Underlay(int host) { return "192.0.2." + std::to_string(host); }
inline std::string EndpointOf(int host) {
  return Underlay(host) + ":" + std::to_string(kFabricPort);
}

inline bool PingUntilAnswered(const NetNamespace& from, const std::string& address) {
  const auto end = std::chrono::steady_clock::now() + kHandshake;
  while (std::chrono::steady_clock::now() < end) {
    if (Ping(from, address, 100, kSilence)) return true;
  }
  return false;
}

inline void SendMarker(const NetNamespace& from, const std::string& address, uint16_t port = 9) {
  const UniqueFd fd(from.In([] { return ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); }));
  const sockaddr_in to = Address(address, port);
  // Refused where a rule drops it.
  (void)::sendto(fd.get(), kMarker, sizeof(kMarker), 0, reinterpret_cast<const sockaddr*>(&to),
                 sizeof(to));
}

class FabricPair : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* which : {"all", "default"}) {
      underlay_.Set(std::string("net/ipv6/conf/") + which + "/disable_ipv6", "1");
    }
    // One that looks after groups speaks to them itself.
    underlay_.Ip({"link", "add", "br0", "type", "bridge", "mcast_snooping", "0"});
    underlay_.Ip({"addr", "add", std::string(kOutsider) + "/24", "dev", "br0"});
    underlay_.Ip({"link", "set", "br0", "up"});
    for (FabricHost* host : {&a_, &b_}) {
      const int number = host == &a_ ? 1 : 2;
      FabricHost& other = host == &a_ ? b_ : a_;
      const std::string port = "h" + std::to_string(number);
      Join(host->space, "up0", Underlay(number) + "/24", underlay_, port, "");
      underlay_.Ip({"link", "set", port, "master", "br0"});
      // Where packets would go that have no better way.
      host->space.Ip({"route", "add", "default", "via", kOutsider});
      host->fabric.peers = {other.AsPeer(EndpointOf(3 - number))};
    }
  }

  void MakeFabrics() {
    for (FabricHost* host : {&a_, &b_}) host->Make();
  }

  // One node on each host, joined by a tunnel through the fabric, or, for comparison, without it.
  void MakeOverlay(bool in_fabric = true, uint32_t cluster = 1) {
    const auto address = [&](const FabricHost& host) {
      return in_fabric ? host.fabric.address : A(Underlay(&host == &a_ ? 1 : 2));
    };
    for (FabricHost* host : {&a_, &b_}) {
      const FabricHost& other = host == &a_ ? b_ : a_;
      Bridge& bridge = host->AddBridge(cluster);
      const Ipv4 there = bridge.prefix.Host(kFirstNodeHost + (host == &a_ ? 1 : 0));
      bridge.overlay = {.vni = cluster,
                        .local = address(*host),
                        .underlay_mtu = in_fabric ? host->fabric.mtu() : 1500};
      bridge.overlay->remotes = {{there, MacForNode(cluster, there), address(other)}};
      host->Apply();
    }
    nodes_.push_back(a_.AddNode(cluster, 0));
    nodes_.push_back(b_.AddNode(cluster, 1));
    for (FabricHost* host : {&a_, &b_}) host->Apply();
  }

  // What makes a fabric's device disappear all at once.
  void BreakDevice(FabricHost* host) {
    if (IsKernelUnderTest()) {
      host->space.Ip({"link", "del", host->fabric.device()});
    } else {
      const std::vector<pid_t> processes = host->Processes();
      ASSERT_EQ(processes.size(), 1u);
      KillAndAwait(processes[0]);
    }
    EXPECT_FALSE(host->HasLink());
  }

  NetNamespace underlay_;
  FabricHost a_{1};
  FabricHost b_{2};
  std::vector<TestNode> nodes_;
};

}  // namespace strata::net
