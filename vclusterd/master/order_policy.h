// What orders say of who may talk with whom, and of ports that lead to several nodes. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "vclusterd/api/host.pb.h"
#include "vclusterd/master/vcluster.h"

namespace strata::vcluster {

// A Vcluster with which another one talks: each names the other.
struct PeerOf {
  VclusterPtr vcluster;
  std::string owner;  // Empty: the same.
  bool operator==(const PeerOf&) const = default;
};

// A port of a node's host that leads to it, of a port that is balanced over its role.
struct KnownPort {
  uint16_t node_port = 0;
  bool udp = false;
  uint16_t host_port = 0;
  auto operator<=>(const KnownPort&) const = default;
};
using KnownPorts = std::map<uint32_t, std::vector<KnownPort>>;  // By index of the node.

// The number of the node's role; 0 as long as no role has rules.
uint32_t GroupOf(const Vcluster& vcluster, const std::string& role);
// Rules of the roles that have some, with what `ports` and `ready` need.
void AddAccepts(const Vcluster& vcluster, host::v1::Part* part);

// As the host is asked for it.
host::v1::Forward ForwardOf(const PortForward& port);
// Of nodes that should run, as their hosts told.
KnownPorts BalancedPortsOf(const Vcluster& vcluster,
                           const std::map<uint32_t, host::v1::NodeStatus>& states);
// What the hosts of other nodes of the role need to know of one.
void AddKnownPorts(const Vcluster& vcluster, const master::v1::Node& node, const KnownPorts& known,
                   host::v1::Peer* peer);

// `host_addresses` as of OrderContext; nodes without a place are left out.
void AddPeerVcluster(const PeerOf& peer, const std::string& host,
                     const std::map<std::string, std::string>& host_addresses,
                     host::v1::Part* part);

// "OWNER/NAME" or "NAME": the owner, empty for none, and the name.
std::pair<std::string, std::string> SplitPeer(const std::string& peer);

}  // namespace strata::vcluster
