// The encrypted network of a cluster's hosts, as a value: what WireGuard joins (Donenfeld,
// "WireGuard: Next Generation Kernel Network Tunnel", NDSS 2017; wireguard.com/protocol).
//
// Every host has an address of the fabric's prefix and a key pair, and knows of every other host
// its address, its public key, and where it is called. Who is behind a NAT calls the others, and is
// called by nobody. A VXLAN overlay over the fabric is one whose hosts have their fabric addresses
// (Overlay::local, RemoteNode::host) and whose underlay_mtu is FabricMtu.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/desired.h"
#include "net/secure/endpoint.h"
#include "net/secure/keys.h"

namespace strata::net {

inline constexpr uint16_t kFabricPort = 51820;
inline constexpr size_t kFabricPeersMax = 1024;
// As long as any NAT or firewall must remember a sender of UDP (RFC 4787, REQ-5, says 2 minutes;
// many do 30 s).
inline constexpr uint16_t kKeepaliveS = 25;
// Of WireGuard's data messages, 16 before and 16 after what they carry; around that UDP, and IPv4
// or IPv6 (drivers/net/wireguard/device.c, wg_setup). ESP fits in: 20 of IPv4, 8 of its own and 8
// of IV before, and at most 5 of padding and 16 after (RFC 4303, RFC 4106).
inline constexpr uint32_t kFabricHeaderBytes = 20 + 8 + 32;
inline constexpr uint32_t kFabricHeaderBytesIpv6 = 40 + 8 + 32;

// All hosts of a cluster have the same.
enum class FabricKind {
  kWireguard,
  // ESP in tunnel mode, of the kernel (RFC 4303): for hosts that all have IPv4 endpoints, and
  // kernels that have it but no WireGuard. Endpoints' ports mean nothing to it.
  kEsp,
};

struct FabricPeer {
  std::string host;  // Its name, for people.
  Ipv4 address;
  PublicKey key;
  // The one that the host is about to use instead. From the first handshake with it on, it is the
  // one that counts.
  std::optional<PublicKey> next_key;
  std::optional<Endpoint> endpoint;  // None: it is behind a NAT, and calls us.
  SecretKey preshared;               // The same at both ends, or none.
  // Of ESP: what FabricDevice::Session says there. None: not known yet, and nothing passes.
  std::optional<PublicKey> session;
};

struct SecureFabric {
  std::string instance;
  FabricKind kind = FabricKind::kWireguard;
  Ipv4Prefix prefix;  // Of all hosts' addresses; of nothing else.
  Ipv4 address;       // This host's.
  SecretKey key;
  uint16_t port = kFabricPort;
  // Where others call this host, as far as it is known: no peer can be there. ESP must know.
  std::optional<Endpoint> endpoint;
  bool is_behind_nat = false;
  uint32_t underlay_mtu = 1500;
  // Some host of the cluster is called by IPv6: the same on all hosts, and so is the MTU.
  bool has_ipv6_endpoints = false;
  std::vector<FabricPeer> peers;
  // Of ESP (net/secure/esp_keys.h); FabricDevice has its own, and sets them.
  SecretKey session;
  std::optional<SecretKey> previous_session;

  std::string device() const { return FabricName(instance); }
  uint32_t mtu() const;
};

// What a packet in the fabric can have. 0 when nothing is left.
uint32_t FabricMtu(uint32_t underlay_mtu, bool has_ipv6_endpoints);

// kInvalidArgument names what cannot be, and what to do: an address outside of the prefix, two
// hosts with one address, key or endpoint, one that has this host's, an endpoint that cannot be
// called or is inside of the fabric itself, an MTU that leaves too little; with ESP, a host without
// an IPv4 endpoint.
Status CheckFabric(const SecureFabric& fabric);

// Names of peers that this host can never reach, because both are behind a NAT. Not an error: each
// still reaches all others.
std::vector<std::string> UnreachablePeers(const SecureFabric& fabric);

}  // namespace strata::net
