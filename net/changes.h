// The changes that a NetworkPlan lists, one request or a few each. Not part of the interface of
// net/. All may be repeated. What belongs to a running node may vanish at any time: its absence is
// Ok. Errors are kInternal with what was tried.
#pragma once

#include <string>

#include "net/netlink.h"
#include "net/plan.h"

namespace strata::net {

Status RemoveLink(nl_sock* socket, const std::string& name);

// bridges.cc
Status AddBridge(nl_sock* socket, const Bridge& bridge);
Status SetBridge(nl_sock* socket, const BridgeSettings& settings);
Status AddAddress(nl_sock* socket, const Bridge& bridge);
Status SetPort(nl_sock* socket, const PortSettings& settings);

// rates.cc
Status SetRate(nl_sock* socket, const Veth& veth);
// An answer to RTM_GETQDISC, for the link that it is of.
void ReadQdisc(nlmsghdr* header, const std::function<ObservedLink*(int index)>& link_of);

}  // namespace strata::net
