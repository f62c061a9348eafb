// What is there of a host's fabric, and what has to be done about it. Pure: no system call.
// net/secure/fabric_device.h observes, and carries a plan out.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/plan.h"
#include "net/secure/esp_plan.h"
#include "net/secure/fabric.h"

namespace strata::net {

// No data passes by a session that is older (REJECT_AFTER_TIME in WireGuard's paper, section 6.1).
inline constexpr std::chrono::seconds kSessionMax(180);

struct ObservedPeer {
  PublicKey key;
  SecretKey preshared;
  std::optional<Endpoint> endpoint;  // Where it was heard last, or was said to be.
  std::optional<Endpoint> told;      // What this process has said last.
  uint16_t keepalive_s = 0;
  std::vector<Ipv4Prefix> allowed;
  bool allows_ipv6 = false;
  std::chrono::nanoseconds last_handshake{0};  // Since 1970; 0: there was none.
  uint64_t received_bytes = 0;
  uint64_t sent_bytes = 0;
};

// What WireGuard knows.
struct ObservedDevice {
  SecretKey key;
  uint16_t port = 0;
  std::vector<ObservedPeer> peers;
};

// An address of a link, and how long its network's prefix is.
struct LinkAddress {
  Ipv4 address;
  int length = 32;
  std::string ToString() const { return address.ToString() + "/" + std::to_string(length); }
  auto operator<=>(const LinkAddress&) const = default;
};

struct ObservedFabric {
  std::vector<ObservedLink> links;       // All of the host.
  std::vector<LinkAddress> addresses;    // Of the device.
  bool has_rules = false;                // As they should be.
  bool has_device = false;               // There is one, and it is of the kind in use.
  std::optional<ObservedDevice> device;  // Of WireGuard, when that is in use.
  ObservedEsp esp;
  std::chrono::nanoseconds now{0};  // Since 1970.
};

// A peer as it should be on the device.
struct PeerSettings {
  PublicKey key;
  std::string host;
  bool is_new = false;
  std::optional<Endpoint> endpoint;  // To be said; what is known stays otherwise.
  SecretKey preshared;
  uint16_t keepalive_s = 0;
  std::vector<Ipv4Prefix> allowed;  // All.
};

// For WireGuard, in one go.
struct DeviceChange {
  std::optional<SecretKey> key;
  std::optional<uint16_t> port;
  std::vector<PublicKey> remove_peers;
  std::vector<PeerSettings> set_peers;
  bool empty() const { return !key && !port && remove_peers.empty() && set_peers.empty(); }
};

struct FabricPlan {
  std::string name;     // Of the device.
  bool remove = false;  // The device that is there.
  std::string ruleset;  // Commands of nft(8), when there are others or none, or some that go.
  bool create = false;
  DeviceChange change;  // Of WireGuard.
  EspPlan esp;
  std::vector<LinkAddress> remove_addresses;
  std::optional<LinkAddress> add_address;
  std::optional<uint32_t> raise_with_mtu;

  bool empty() const {
    return !remove && ruleset.empty() && !create && change.empty() && esp.empty() &&
           remove_addresses.empty() && !add_address && !raise_with_mtu;
  }
};

// Without a desired fabric what is there of the instance's goes. Errors: CheckFabric's;
// kFailedPrecondition when the prefix is in use on another link, or an endpoint is this host.
Result<FabricPlan> MakeFabricPlan(const std::string& instance,
                                  const std::optional<SecureFabric>& desired,
                                  const ObservedFabric& observed);

// One line per change, in the order in which they are made, as in net/plan_text.h; no secrets.
//   + fabric s1a2b3w port 51820
//   + peer h2 10.88.0.2 of s1a2b3w at 192.0.2.2:51820
//   ~ fabric s1a2b3w up mtu 1440
std::vector<std::string> DescribeChanges(const FabricPlan& plan);

}  // namespace strata::net
