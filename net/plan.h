// What is there of the networks of a host's Vclusters, and what has to be done about it. Pure: no
// system call. net/apply.h observes, and carries a plan out.
//
// One bridge and one prefix per Vcluster; the bridge has the prefix's first address and is the
// nodes' gateway. Who may talk to whom is in net/ruleset.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "net/desired.h"

namespace strata::net {

struct ObservedLink {
  std::string name;
  bool up = false;
  std::vector<Ipv4Prefix> addresses;  // Each /32 holds one address of the link.
  bool route_localnet = false;        // Takes packets from and to 127.0.0.0/8.
  std::string master;                 // The bridge that this is a port of, or "".
  bool hairpin = false;               // As a port: frames may leave where they came in.
  uint64_t sends_bits_per_s_max = 0;  // Of a token bucket at its root. 0: none.
  bool has_ingress = false;           // What it receives passes an ingress qdisc.
};

// A bridge that is there, or was just made, gets these and is raised.
struct BridgeSettings {
  std::string name;
  bool route_localnet = false;
};

struct PortSettings {
  std::string name;
  bool hairpin = false;
};

struct NetworkPlan {
  std::vector<std::string> delete_links;
  std::string ruleset;                      // For `nft -f -`; one transaction.
  std::vector<Bridge> create_bridges;       // Settings and address are listed below.
  std::vector<BridgeSettings> set_bridges;  // New, down, or with other settings.
  std::vector<Bridge> address_bridges;      // New, or without its address.
  std::vector<PortSettings> set_ports;      // Of nodes.
  std::vector<Veth> set_rates;              // Limits that are new or others, or no more.
};

// `observed`: all links of the host; only ours are looked at. Veths that are not wanted are deleted
// only with `delete_veths` (at start, when nobody is just making one). Veths that are wanted but
// not there are left out: their nodes are just starting, or just ended. Errors are CheckDesired's.
Result<NetworkPlan> MakePlan(const DesiredNetwork& desired,
                             const std::vector<ObservedLink>& observed, bool delete_veths);

// The lowest prefix of the pool (its first is left out) that overlaps neither `taken` nor an
// address of the host. kResourceExhausted names the remedy.
Result<Ipv4Prefix> ChoosePrefix(const Ipv4Prefix& pool, const std::vector<Ipv4Prefix>& taken,
                                const std::vector<ObservedLink>& observed);

}  // namespace strata::net
