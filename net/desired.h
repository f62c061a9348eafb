// What the networks of a host's Vclusters should be, as values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/ipv4.h"
#include "net/names.h"

namespace strata::net {

inline constexpr int kClusterPrefixLength = 24;
inline constexpr uint32_t kGatewayHost = 1;
inline constexpr uint32_t kFirstNodeHost = 2;
inline constexpr uint32_t kNodesMaxPerCluster = 250;

enum class Protocol { kTcp, kUdp };
std::string_view ProtocolName(Protocol protocol);  // "tcp", "udp".

// Whoever reaches an address of the host reaches a port of a node through it (docs/network.md).
struct Forward {
  Protocol protocol = Protocol::kTcp;
  uint16_t host_port = 0;
  Ipv4 address;  // Of the node.
  uint16_t node_port = 0;
};

// One per Vcluster.
struct Bridge {
  std::string name;
  Ipv4Prefix prefix;
  std::vector<Forward> forwards;  // To nodes behind this bridge.

  Ipv4 gateway() const { return prefix.Host(kGatewayHost); }
  Mac mac() const;
};

// The host's end of a node's link.
struct Veth {
  std::string name;
  uint64_t bits_per_s_max = 0;  // In each direction, headers included. 0: no limit.
};

inline constexpr uint64_t kBitsPerSecondMin = 8'000;
inline constexpr uint64_t kBitsPerSecondMax = 1'000'000'000'000;

struct DesiredNetwork {
  std::string instance;
  Ipv4Prefix pool;
  std::vector<Bridge> bridges;
  std::vector<Veth> veths;  // Of running nodes.
};

// kInvalidArgument names what cannot be: two forwards on one host port, a port 0, a forward to an
// address that no node behind its bridge can have, a rate out of range.
Status CheckDesired(const DesiredNetwork& desired);

}  // namespace strata::net
