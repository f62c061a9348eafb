// What a host's part in the cluster's encrypted network should be, as far as others may know it: no
// private keys. net/secure/fabric.h adds those, and says what it is about.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/ipv4.h"
#include "net/secure/endpoint.h"
#include "net/secure/keys.h"

namespace strata::net {

inline constexpr uint16_t kFabricPort = 51820;
// Of WireGuard's data messages, 16 before and 16 after what they carry; around that UDP, and IPv4
// or IPv6 (drivers/net/wireguard/device.c, wg_setup). ESP fits in: 20 of IPv4, 8 of its own and 8
// of IV before, and at most 5 of padding and 16 after (RFC 4303, RFC 4106).
inline constexpr uint32_t kFabricHeaderBytes = 20 + 8 + 32;
inline constexpr uint32_t kFabricHeaderBytesIpv6 = 40 + 8 + 32;

// What a packet in the fabric can have. 0 when nothing is left.
constexpr uint32_t FabricMtu(uint32_t underlay_mtu, bool has_ipv6_endpoints) {
  const uint32_t headers = has_ipv6_endpoints ? kFabricHeaderBytesIpv6 : kFabricHeaderBytes;
  return underlay_mtu > headers ? underlay_mtu - headers : 0;
}

// All hosts of a cluster have the same.
enum class FabricKind {
  kWireguard,
  // ESP in tunnel mode, of the kernel (RFC 4303): for hosts that all have IPv4 endpoints, and
  // kernels that have it but no WireGuard. Endpoints' ports mean nothing to it.
  kEsp,
};

// Another host.
struct FabricMember {
  std::string host;  // Its name, for people.
  Ipv4 address;
  PublicKey key;
  // The one that the host is about to use instead. From the first handshake with it on, it is the
  // one that counts.
  std::optional<PublicKey> next_key;
  std::optional<Endpoint> endpoint;  // None: it is behind a NAT, and calls us.
  // Of ESP: what FabricDevice::Session says there. None: not known yet, and nothing passes.
  std::optional<PublicKey> session;
};

struct FabricSettings {
  FabricKind kind = FabricKind::kWireguard;
  Ipv4Prefix prefix;  // Of all hosts' addresses; of nothing else.
  Ipv4 address;       // This host's.
  uint16_t port = kFabricPort;
  // Where others call this host, as far as it is known: no peer can be there. ESP must know.
  std::optional<Endpoint> endpoint;
  bool is_behind_nat = false;
  uint32_t underlay_mtu = 1500;
  // Some host of the cluster is called by IPv6: the same on all hosts, and so is the MTU.
  bool has_ipv6_endpoints = false;

  uint32_t mtu() const { return FabricMtu(underlay_mtu, has_ipv6_endpoints); }
};

struct DesiredFabric : FabricSettings {
  std::vector<FabricMember> peers;
  // Of this host's keys (net/secure/key_store.h). While it uses this one, there is to be a next
  // one…
  std::optional<PublicKey> follow_key;
  // …and when this is the next one, it is the one to use from now on.
  std::optional<PublicKey> use_key;
};

}  // namespace strata::net
