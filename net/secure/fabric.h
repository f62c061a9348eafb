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

namespace strata::net {

inline constexpr size_t kFabricPeersMax = 1024;
// As long as any NAT or firewall must remember a sender of UDP (RFC 4787, REQ-5, says 2 minutes;
// many do 30 s).
inline constexpr uint16_t kKeepaliveS = 25;
struct FabricPeer : FabricMember {
  SecretKey preshared;  // The same at both ends, or none.
};

struct SecureFabric : FabricSettings {
  std::string instance;
  SecretKey key;
  std::vector<FabricPeer> peers;
  // Of ESP (net/secure/esp_keys.h); FabricDevice has its own, and sets them.
  SecretKey session;
  std::optional<SecretKey> previous_session;

  std::string device() const { return FabricName(instance); }
};

// With the secrets of this host.
SecureFabric WithKey(const DesiredFabric& desired, const std::string& instance,
                     const SecretKey& key);

// kInvalidArgument names what cannot be, and what to do: an address outside of the prefix, two
// hosts with one address, key or endpoint, one that has this host's, an endpoint that cannot be
// called or is inside of the fabric itself, an MTU that leaves too little; with ESP, a host without
// an IPv4 endpoint.
Status CheckFabric(const SecureFabric& fabric);

// What of the networks' tunnels goes through the fabric can: kInvalidArgument when a tunnel has
// another address of it than this host's, or frames that are too large for it, or when nodes'
// addresses are the fabric's too.
Status CheckOverFabric(const DesiredNetwork& desired);

// Whether this host can never reach a peer, because both are behind a NAT. Not an error: each still
// reaches all others.
bool IsUnreachable(const FabricSettings& self, const FabricMember& peer);
std::vector<std::string> UnreachablePeers(const SecureFabric& fabric);

}  // namespace strata::net
