// What the networks of a host's Vclusters should be, as values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/host_names.h"
#include "net/ip_address.h"
#include "net/ipv4.h"
#include "net/names.h"
#include "net/secure/desired_fabric.h"
#include "net/subnets.h"
#include "net/wire.h"

namespace strata::net {

// Whoever reaches an address of the host reaches a port of a node through it (docs/network.md). The
// node may be on another host, as after a move: that host has a RemoteForward then.
struct Forward {
  Protocol protocol = Protocol::kTcp;
  uint16_t host_port = 0;
  Ipv4 address;  // Of the node.
  uint16_t node_port = 0;
  bool ending = false;  // Takes no new connections; those that it has go on.
};

// A forward of another host that leads to a node of this one. What the node sends from the port,
// and is of no connection that this host knows, goes back to that host.
struct RemoteForward {
  Protocol protocol = Protocol::kTcp;
  Ipv4 address;  // Of the node.
  uint16_t node_port = 0;
  Ipv4 host;  // The other host's address in the underlay.
  auto operator<=>(const RemoteForward&) const = default;
};
// To one port of a node: each of the hosts gets a copy.
inline constexpr size_t kForwardingHostsMax = 8;

// Where a balanced forward leads to: a port of a node on this host, or a port of another host of
// the Vcluster, which has a forward of its own there.
struct Target {
  Ipv4 address;
  uint16_t port = 0;
  bool up = true;  // As its check says (net/health.h). When none is, all are used.
  auto operator<=>(const Target&) const = default;
};

// One port of the host leads to many: each new connection to another target in turn, or, sticky,
// those of one address to the same.
struct BalancedForward {
  Protocol protocol = Protocol::kTcp;
  uint16_t host_port = 0;
  bool sticky = false;
  std::vector<Target> targets;
};
inline constexpr size_t kTargetsMax = 1000;

// Groups are numbers within a Vcluster, as of its roles; 0 is none. A group to which a rule leads
// is closed: what begins at its nodes passes, and answers; what begins elsewhere only by a rule.
struct GroupRule {
  // kOutside: whoever is no node of the Vcluster: forwards, peers, the host.
  enum class From { kAny, kGroup, kOutside };
  enum class Kind { kAll, kTcp, kUdp, kIcmp };
  From from = From::kAny;
  uint32_t from_group = 0;
  uint32_t to_group = 0;
  Kind kind = Kind::kAll;
  uint16_t port_first = 0;  // Of kTcp and kUdp. 0: all.
  uint16_t port_last = 0;
};
inline constexpr uint32_t kGroupMax = 65535;
inline constexpr size_t kGroupRulesMax = 1000;

// A node of the Vcluster on another host.
struct RemoteNode {
  Ipv4 address;
  Mac mac{};  // MacForNode.
  Ipv4 host;  // The other host's address in the underlay.
  uint32_t group = 0;
};

// What joins the bridges of one Vcluster on several hosts, by VXLAN over the network that the hosts
// have: the underlay.
struct Overlay {
  uint32_t vni = 0;  // The Vcluster's, the same on all hosts. REQUIRES: not 0.
  Ipv4 local;        // This host's address in the underlay.
  uint32_t underlay_mtu = 1500;
  uint16_t port = kVxlanPort;  // The same on all hosts.
  std::vector<RemoteNode> remotes;
};

// One per Vcluster.
struct Bridge {
  std::string name;
  Ipv4Prefix prefix;
  std::vector<Forward> forwards;   // To nodes behind this bridge.
  std::optional<Overlay> overlay;  // None: all nodes are on this host.
  uint32_t number = 0;             // The Vcluster's.
  std::vector<BalancedForward> balanced;
  std::vector<GroupRule> group_rules;
  // Numbers of Vclusters with which it would talk; two do when each names the other. This host then
  // has both bridges, each with all of its remote nodes, although it may have no node of one.
  std::vector<uint32_t> peers;
  // Of the Strata's pool; none: its nodes have IPv4 alone. Nodes have the same host part in both.
  std::optional<Ipv6Prefix> prefix6;
  std::vector<RemoteForward> remote_forwards;
  HostNames names;
  // The gateway answers questions for names, so nodes may ask it. Not asked for: who serves them
  // says so (net/dns/name_server.h).
  bool serves_names = false;

  Ipv4 gateway() const { return prefix.Host(kGatewayHost); }
  IpAddress gateway6() const { return prefix6->Host(kGatewayHost); }  // REQUIRES: has_ipv6.
  Mac mac() const;
  // Of the bridge, and what its nodes' links must have: nothing tells the two ends of a tunnel
  // that a frame was too large.
  uint32_t mtu() const { return overlay ? overlay->underlay_mtu - kVxlanHeaderBytes : kBridgeMtu; }
  // Links of a smaller MTU carry no IPv6.
  bool has_ipv6() const { return prefix6 && mtu() >= kIpv6MtuMin; }
  // Of whoever has this address of its prefix. REQUIRES: has_ipv6.
  IpAddress Address6Of(Ipv4 address) const {
    return prefix6->Host(address.value - prefix.base.value);
  }
  // By which MACs are told: the VNI.
  uint32_t network() const { return overlay ? overlay->vni : number; }
  bool has_forwards() const { return !forwards.empty() || !balanced.empty(); }
  bool IsNodeAddress(Ipv4 address) const;
  std::string tunnel() const { return SiblingName(name, LinkKind::kTunnel); }
};

// The host's end of a node's link.
struct Veth {
  std::string name;
  uint64_t bits_per_s_max = 0;  // In each direction, headers included. 0: no limit.
  uint32_t network = 0;         // The number of its Vcluster, and…
  uint32_t index = 0;           // …its own.
  uint32_t group = 0;
  uint32_t user = 0;  // Who shares a limit with others of the same number. 0: nobody.
};

// All nodes of a user on this host together, in each direction.
struct UserLimit {
  uint32_t user = 0;
  uint64_t bits_per_s_max = 0;
};

// With the names that they have on a host.
Bridge MakeBridge(std::string_view instance, uint32_t number, const Ipv4Prefix& prefix,
                  const std::optional<Ipv6Prefix>& pool6 = std::nullopt);
Veth MakeVeth(std::string_view instance, uint32_t network, uint32_t index, uint64_t bits_per_s_max);

// Whose it is, by its name alone.
std::optional<Veth> ParseVethName(const std::string& name, std::string_view instance);

inline constexpr uint64_t kBitsPerSecondMin = 8'000;
inline constexpr uint64_t kBitsPerSecondMax = 1'000'000'000'000;
inline constexpr uint64_t kUserBitsPerSecondMax = 100'000'000'000;

struct DesiredNetwork {
  std::string instance;
  Ipv4Prefix pool;
  std::vector<Bridge> bridges;
  std::vector<Veth> veths;  // Of nodes; each is there while its node runs.
  // Veths of ours that are not among these stay: it is not known whether they are wanted.
  bool keep_unknown_veths = false;
  std::vector<UserLimit> user_limits;
  std::optional<Ipv6Prefix> pool6;  // Of all prefixes of IPv6. None: no bridge has one.
  // Of names that are no node's; none: those of the host's resolv.conf.
  std::vector<IpAddress> resolvers;
  // The encrypted network of the hosts; its checks are those of net/secure/fabric.h.
  std::optional<DesiredFabric> fabric;
};

// The same for a host that knows no IPv6.
DesiredNetwork WithoutIpv6(DesiredNetwork desired);

// Pairs of bridges of which each names the other as its peer, each pair once.
std::vector<std::pair<const Bridge*, const Bridge*>> PeersOf(const DesiredNetwork& desired);

// kInvalidArgument names what cannot be: two forwards on one host port, a port 0, a forward to an
// address that no node behind its bridge can have, a rate out of range; two overlays with one VNI,
// a VNI, an MTU or a remote node that no network can have, an address or MAC that is there twice;
// peers whose prefixes overlap; a rule of groups that says nothing; a prefix of IPv6 that is not of
// the pool; a forward of another host to a node that is not here; what CheckHostNames says.
Status CheckDesired(const DesiredNetwork& desired);

}  // namespace strata::net
