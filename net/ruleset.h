// The rules of a host's Vclusters as commands of nft(8). Pure.
//
// One nftables table per instance of Strata, always replaced as a whole in one transaction, so that
// it cannot drift: no traffic between Vclusters, none from the outside into one (answers and
// forwards excepted), none from nodes to the host itself (ping and forwards excepted), masqueraded
// traffic to the outside.
//
// Tunnels (net/overlay.cc): frames of a Vcluster are taken only from the addresses of hosts that
// have nodes of it, and no node may send to the tunnels' port beyond its own Vcluster. Whoever can
// forge addresses in the underlay can forge frames: it must be trusted, or be a WireGuard or the
// like.
//
// A forward takes what is sent to a port of any address of the host, 127.0.0.1 included, by anyone:
// programs of other machines, of the host, of any node. The node sees who sent it, except what came
// from 127.0.0.1 or from a node of its own Vcluster: that comes from the gateway, because otherwise
// the answer would not pass the host. A forward that is gone ends its connections, but for those
// between nodes of one Vcluster.
#pragma once

#include <string>

#include "net/desired.h"

namespace strata::net {

// The table of `desired`, or its removal when there is no bridge. REQUIRES: CheckDesired is Ok.
std::string MakeRuleset(const DesiredNetwork& desired);

}  // namespace strata::net
