// Forwards whose node is on another host: what a node leaves behind that has moved. Pure. Not part
// of the interface of net/.
//
// The host with the forward (the old one) translates, and has the connections. What it forwards
// goes by the Vcluster's own tunnel to the node, as from the gateway, with the sender's address.
// The node's answers go to its gateway, which is its own host. That one knows the connections that
// began by itself; what the node sends from the port and is of none of these is an answer for the
// old host, which gets it as it is, by the tunnel, at a MAC of its own (MacForHost). It takes only
// answers of connections that it has.
//
// So the node's host keeps nothing about others' connections, and it does not matter who speaks
// first after the move. With several old hosts each gets a copy, and all but one drop it.
//
// "dup" of nftables sends a packet to a neighbour that is told apart by an address of the bridge's
// network: its transit address, which stands for a host on that bridge alone, and is in no packet.
#pragma once

#include <vector>

#include "net/desired.h"
#include "net/rule_table.h"

namespace strata::net {

// Reserved by RFC 1112, 4 ("class E"): neither nodes nor hosts can have these.
inline constexpr int kTransitPrefixLength = 8;
inline constexpr Ipv4 kTransitOwn{0xf0fffffe};
// The last three bytes are the host's.
Ipv4 TransitAddress(Ipv4 host);

// The hosts of bridge.remote_forwards, each once, in order.
std::vector<Ipv4> ForwardingHosts(const Bridge& bridge);
// The nodes of other hosts that bridge.forwards lead to, each once, in order of addresses.
std::vector<const RemoteNode*> ForwardedRemotes(const Bridge& bridge);

Status CheckRemoteForwards(const DesiredNetwork& desired);

// To the table of family inet, at the old host: answers alone come back. At the node's host: nobody
// sends to transit addresses.
void AddReturnRules(const DesiredNetwork& desired, RuleTable* table);
// The table of family ip, at the node's host: answers go back.
RuleTable MakeAnswerTable(const DesiredNetwork& desired);

}  // namespace strata::net
