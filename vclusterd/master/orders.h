// From what should be to what is told to hosts. Pure.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "vclusterd/api/host.pb.h"
#include "vclusterd/master/order_policy.h"
#include "vclusterd/master/vcluster.h"

namespace strata::vcluster {

// What is known of a Vcluster's nodes, by index: as their hosts told it last. States of other
// incarnations than the record's are not in here.
using NodeStates = std::map<uint32_t, host::v1::NodeStatus>;

struct OrderContext {
  std::set<std::string> may_start;  // RolesThatMayStart.
  std::string owner_name;
  std::string shared_id;  // Of the shared directory.
  // Where the other hosts of the Vcluster are reached by this one, by host; empty when it has none.
  std::map<std::string, std::string> host_addresses;
  std::vector<PeerOf> peers;              // Vclusters with which it talks.
  KnownPorts balanced_ports;              // Of its nodes.
  uint64_t owner_network_bits_per_s = 0;  // Of the owner's nodes on a host together; 0: no limit.
};

// Roles whose nodes may start: everything that they come after is ready, or has been.
std::set<std::string> RolesThatMayStart(const Vcluster& vcluster, const NodeStates& states);

// The part of `vcluster` that `host` should have, without its revision; without nodes when that is
// nothing.
host::v1::Part OrderFor(const Vcluster& vcluster, const std::string& host,
                        const OrderContext& context);

}  // namespace strata::vcluster
