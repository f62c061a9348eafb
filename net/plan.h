// What is there of the networks of a host's Vclusters, and what has to be done about it. Pure: no
// system call. net/apply.h observes, and carries a plan out.
//
// One bridge and one prefix per Vcluster; the bridge has the prefix's first address and is the
// nodes' gateway. Who may talk to whom is in net/ruleset.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "net/desired.h"
#include "net/observed.h"
#include "net/rule_table.h"

namespace strata::net {

// A bridge that is there, or was just made, gets these and is raised.
struct BridgeSettings {
  std::string name;
  std::optional<Mac> mac;  // Another one: the bridge forgets all neighbours.
  uint32_t mtu = kBridgeMtu;
  bool route_localnet = false;
};

struct PortSettings {
  std::string name;
  bool hairpin = false;
};

// Frames to `mac` go through `tunnel` to `host`.
struct FdbEntry {
  std::string tunnel;
  Mac mac{};
  Ipv4 host;
};

// `address` has `mac`: what a bridge answers to ARP and neighbour solicitations, and what the host
// itself uses.
struct Neighbour {
  std::string bridge;
  IpAddress address;
  Mac mac{};
};

struct NetworkPlan {
  std::vector<std::string> delete_links;
  Ruleset ruleset;
  std::vector<Bridge> create_bridges;       // Settings and address are listed below.
  std::vector<BridgeSettings> set_bridges;  // New, down, or with other settings.
  std::vector<Bridge> address_bridges;      // New, or without its address…
  std::vector<Bridge> address6_bridges;     // …or that of IPv6.
  std::vector<std::string> add_transit;     // To bridges: the host's transit address…
  std::vector<std::string> remove_transit;  // …and from them (net/remote_forwards.h).
  std::vector<Bridge> create_tunnels;       // They are set up as listed below.
  std::vector<Bridge> set_tunnels;          // New, down, or no quiet port of their bridge.
  std::vector<FdbEntry> delete_fdb;
  std::vector<FdbEntry> set_fdb;  // New or others.
  std::vector<Neighbour> delete_neighbours;
  std::vector<Neighbour> set_neighbours;
  std::vector<PortSettings> set_ports;  // Of nodes.
  std::vector<Veth> set_rates;          // Limits that are new or others, or no more.
  // Links of nodes that are gone from networks that stay. Last, because the kernel takes its time:
  // of a node that has moved, nobody has to wait for it. Rules let nothing through meanwhile.
  std::vector<std::string> delete_last;
};

// Who joins a Vcluster's nodes to each other, and to those on other hosts.
enum class Driver {
  kLinux,  // Bridges and tunnels of the kernel, which a plan makes.
  kOvs,    // Open vSwitch: net/ovs makes bridges, ports and tunnels; a plan sets the bridges up.
};

// `observed`: all links of the host; only ours are looked at. Veths that are wanted but not there
// are left out: their nodes do not run. Errors are CheckDesired's.
Result<NetworkPlan> MakePlan(const DesiredNetwork& desired,
                             const std::vector<ObservedLink>& observed,
                             Driver driver = Driver::kLinux);

}  // namespace strata::net
