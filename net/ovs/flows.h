// The flows of a Vcluster's bridge: who may speak as whom, and where frames go. Pure.
//
// A frame passes tables from the one where its sender may begin; where no flow matches it is
// dropped:
//
//   0  who sends it: a node as itself, in IPv4, IPv6 and ARP; the gateway; a remote node, in IPv4
//      and IPv6, from the tunnel and its own host; another host's gateway, for a node to which that
//      host forwards, or with the answer of one to which this host does
//   1  (of nodes, IPv6) who says to have an address, or to be a router: nodes have their own alone
//   2  (of nodes) for remote nodes: ARP is answered by the switch; IPv4 and IPv6 go into the
//      tunnel, and so does a solicitation of a neighbour, to the one host that has it
//   3  (of nodes and the gateway) for the gateway, and for all: broadcast and multicast, which stay
//      on this host; of the gateway, for remote nodes and hosts of such forwards
//   4  for the nodes of this host
#pragma once

#include <optional>
#include <vector>

#include "net/desired.h"
#include "net/ovs/openflow.h"

namespace strata::net {

// Numbers of ports, the same whenever a bridge is made.
inline constexpr uint32_t kTunnelOfPort = 1;
inline constexpr uint32_t kFirstNodeOfPort = 100;  // And a node's index.

// Index of a node of this Vcluster on this host.
Ipv4 NodeAddress(const Bridge& bridge, uint32_t index);
Mac NodeMac(const Bridge& bridge, uint32_t index);

// In order. `nodes`: indexes of the nodes of this host.
std::vector<Flow> MakeFlows(const Bridge& bridge, const std::vector<uint32_t>& nodes);

// Marks our flows: "strata" in ASCII, in the upper bytes.
inline constexpr uint64_t kFlowCookie = 0x7374726174610000;

}  // namespace strata::net
