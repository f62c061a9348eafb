// The changes that a NetworkPlan lists, one request or a few each. Not part of the interface of
// net/. All may be repeated. What belongs to a running node may vanish at any time: its absence is
// Ok. Errors are kInternal with what was tried.
#pragma once

#include <string>
#include <vector>

#include "net/netlink.h"
#include "net/plan.h"

namespace strata::net {

// bridges.cc
Status RemoveLinks(nl_sock* socket, const std::vector<std::string>& names);
Status AddBridge(nl_sock* socket, const Bridge& bridge);
Status SetBridge(nl_sock* socket, const BridgeSettings& settings);
Status AddAddress(nl_sock* socket, const Bridge& bridge);
Status AddAddress6(nl_sock* socket, const Bridge& bridge);
Status AddTransit(nl_sock* socket, const std::string& bridge);
Status RemoveTransit(nl_sock* socket, const std::string& bridge);
Status SetPort(nl_sock* socket, const PortSettings& settings);

// overlay.cc
Status AddTunnel(nl_sock* socket, const Bridge& bridge);
Status SetTunnel(nl_sock* socket, const Bridge& bridge);
Status SetFdbEntry(nl_sock* socket, const FdbEntry& entry);
Status RemoveFdbEntry(nl_sock* socket, const FdbEntry& entry);
Status SetNeighbour(nl_sock* socket, const Neighbour& neighbour);
Status RemoveNeighbour(nl_sock* socket, const Neighbour& neighbour);

// rates.cc
Status SetRate(nl_sock* socket, const Veth& veth);

}  // namespace strata::net
