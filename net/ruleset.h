// The rules of a host's Vclusters. Pure.
//
// Four nftables tables per instance of Strata. That of family inet: no traffic between Vclusters
// but of peers, none from the outside into one (answers and forwards excepted), none from nodes to
// the host itself (ping, forwards and questions for names to the own gateway excepted), masqueraded
// traffic to the outside. That of family bridge is in guard_rules.h: what nodes may send at all,
// and who reaches which. That of family arp keeps the host from answering on nodes' links, whatever
// they are ports of. That of family ip is in remote_forwards.h: answers that go by another host.
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
// between nodes of one Vcluster. A balanced one may lead to other hosts too, which then see this
// host as the sender. Counters of forwards: "forward.tcp.20000.in" is what was sent to the port,
// ".out" the answers. At the host's addresses of IPv6 a forward leads to the node's, but for ::1
// and link-local ones; a balanced one is of IPv4 alone.
//
// Peers: a packet to a peer's node goes to the gateway, and from there through the peer's bridge of
// the same host, whose tunnel leads to the node's host; the answer begins at that host in the same
// way. So each host sees one half of a connection: no rule may ask for its state.
#pragma once

#include "net/desired.h"
#include "net/rule_table.h"

namespace strata::net {

// The tables of `desired`, or their removal when there is no bridge. REQUIRES: CheckDesired is Ok.
Ruleset MakeRuleset(const DesiredNetwork& desired);

}  // namespace strata::net
