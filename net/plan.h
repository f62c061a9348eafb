// What the networks of a host's Vclusters should be, what is there, and what has to be done about
// it. Pure: no system call. net/apply.h carries a plan out.
//
// One bridge and one prefix per Vcluster; the bridge has the prefix's first address and is the
// nodes' gateway. One nftables table per instance of Strata, always replaced as a whole, so that it
// cannot drift: no traffic between Vclusters, none from the outside into one (answers excepted),
// none from nodes to the host itself (ping excepted), masqueraded traffic to the outside.
//
// Names start with 's' and five hex digits of the instance (a hash of its state directory), so that
// several Stratas on one machine stay apart: "s1a2b3b7" is a bridge, "s1a2b3v7k" a node's veth,
// "strata_1a2b3" the table.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/ipv4.h"

namespace strata::net {

inline constexpr size_t kInstanceDigits = 5;
inline constexpr char kTablePrefix[] = "strata_";
inline constexpr int kClusterPrefixLength = 24;
inline constexpr uint32_t kGatewayHost = 1;
inline constexpr uint32_t kFirstNodeHost = 2;
inline constexpr uint32_t kNodesMaxPerCluster = 250;

// REQUIRES: `instance` has kInstanceDigits characters. Names have at most 15 (IFNAMSIZ - 1).
std::string BridgeName(std::string_view instance, uint32_t cluster);
std::string VethName(std::string_view instance, uint32_t cluster, uint32_t node);
std::string TableName(std::string_view instance);

// A locally administered unicast address that depends on `seed` alone.
using Mac = std::array<uint8_t, 6>;
Mac MacFor(std::string_view seed);
std::string ToString(const Mac& mac);

struct Bridge {
  std::string name;
  Ipv4Prefix prefix;
  Ipv4 gateway() const { return prefix.Host(kGatewayHost); }
};

struct DesiredNetwork {
  std::string instance;
  Ipv4Prefix pool;
  std::vector<Bridge> bridges;
  std::vector<std::string> veths;  // Of running nodes.
};

struct ObservedLink {
  std::string name;
  bool up = false;
  std::vector<Ipv4Prefix> addresses;  // Each /32 holds one address of the link.
};

struct NetworkPlan {
  std::vector<std::string> delete_links;
  std::vector<Bridge> create_bridges;   // Link, address, up.
  std::vector<Bridge> address_bridges;  // There, but without its address.
  std::vector<Bridge> raise_bridges;    // There, but down.
  std::string ruleset;                  // For `nft -f -`; one transaction.
};

// `observed`: all links of the host; only ours are looked at. Veths that are not wanted are deleted
// only with `delete_veths` (at start, when nobody is just making one).
NetworkPlan MakePlan(const DesiredNetwork& desired, const std::vector<ObservedLink>& observed,
                     bool delete_veths);

// The table of `desired`, or its removal when there is no bridge.
std::string MakeRuleset(const DesiredNetwork& desired);

// The lowest prefix of the pool (its first is left out) that overlaps neither `taken` nor an
// address of the host. kResourceExhausted names the remedy.
Result<Ipv4Prefix> ChoosePrefix(const Ipv4Prefix& pool, const std::vector<Ipv4Prefix>& taken,
                                const std::vector<ObservedLink>& observed);

}  // namespace strata::net
