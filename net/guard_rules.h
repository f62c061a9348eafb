// What nodes may send into their bridge, and what may reach them there: the table of family bridge.
// Pure. Not part of the interface of net/.
//
// It knows links by name, so it holds from the moment a link appears. Connections are not tracked
// here: the kernel has no conntrack for bridges that it would offer to rules of this family.
#pragma once

#include "net/desired.h"
#include "net/rule_table.h"

namespace strata::net {

// On packets that nodes have sent to forwards, from the rules of inet to those of bridge. No other
// bit of a mark is touched.
inline constexpr char kForwardedMark[] = "0x00800000";

RuleTable MakeGuardTable(const DesiredNetwork& desired);

// group_rules.cc: what reaches nodes of closed groups.
void AddGroupRules(const DesiredNetwork& desired, RuleTable* table);
// user_rules.cc: what nodes of one user may send and receive together.
void AddUserLimits(const DesiredNetwork& desired, RuleTable* table);
// remote_forwards.cc: what other hosts forward to nodes is of no connection of this host.
void AddUntracked(const DesiredNetwork& desired, RuleTable* table);

// A name as nft takes it.
std::string Quoted(std::string_view name);
// Of the bridges that the links of nodes belong to.
std::map<uint32_t, const Bridge*> BridgesByNumber(const DesiredNetwork& desired);
Ipv4 AddressOf(const Bridge& bridge, const Veth& veth);

}  // namespace strata::net
