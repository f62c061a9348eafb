// Names and hardware addresses of what Strata makes on a host. Pure.
//
// Names start with 's' and five hex digits of the instance (a hash of its state directory), so that
// several Stratas on one machine stay apart: "s1a2b3b7" is a bridge, "s1a2b3v7k" a node's veth,
// "s1a2b3i7k" what limits the rate of that node, "s1a2b3x7" the bridge's way to other hosts,
// "s1a2b3w" the encrypted way to other hosts (net/secure), "strata_1a2b3" the table.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "net/ipv4.h"

namespace strata::net {

inline constexpr size_t kInstanceDigits = 5;
inline constexpr char kTablePrefix[] = "strata_";

// What the names of everything begin with that belongs to one Strata of a host: of the canonical
// path of its state directory.
std::string InstanceOf(std::string_view state_dir);
// REQUIRES: `instance` has kInstanceDigits characters. Names have at most 15 (IFNAMSIZ - 1).
std::string BridgeName(std::string_view instance, uint32_t cluster);
std::string VethName(std::string_view instance, uint32_t cluster, uint32_t node);
// There is one per instance.
std::string FabricName(std::string_view instance);
std::string TableName(std::string_view instance);

// What a name of this instance is of, by its letter.
enum class LinkKind : char {
  kBridge = 'b',
  kVeth = 'v',
  kShaper = 'i',
  kTunnel = 'x',
  kFabric = 'w'
};
bool IsNameOf(std::string_view name, std::string_view instance, LinkKind kind);
// "s1a2b3b": all names of the kind start so.
std::string NamePrefix(std::string_view instance, LinkKind kind);
// The name of the other kind with the same number: a veth's shaper, a bridge's tunnel. REQUIRES:
// `name` is of ours.
std::string SiblingName(std::string name, LinkKind kind);

// A locally administered unicast address that depends on `seed` alone.
using Mac = std::array<uint8_t, 6>;
Mac MacFor(std::string_view seed);
// Of a node, and of the gateway of its network: the same on all hosts, wherever the node is. `vni`
// names the network.
Mac MacForNode(uint32_t vni, Ipv4 address);
Mac MacForGateway(uint32_t vni);
// Of a host's tunnel: what other hosts send to the host itself, not to a node.
Mac MacForHost(uint32_t vni, Ipv4 host);
std::string ToString(const Mac& mac);

}  // namespace strata::net
