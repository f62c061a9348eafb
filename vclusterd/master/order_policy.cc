#include "vclusterd/master/order_policy.h"

#include <algorithm>

namespace strata::vcluster {
namespace {

using host::v1::AcceptRule;

// A group that no role has: what only its nodes may begin, nobody may.
constexpr uint32_t kNobody = 65'535;

class Accepts {
 public:
  Accepts(const Vcluster& vcluster, host::v1::Part* part) : vcluster_(vcluster), part_(*part) {}

  void Add(const Role& role) {
    const uint32_t to = GroupOf(vcluster_, role.name);
    any_ = false;
    for (const PortForward& port : role.ports) {
      Add(AcceptRule::OUTSIDE, 0, to,
          port.protocol == Protocol::kUdp ? AcceptRule::UDP : AcceptRule::TCP,
          {port.node_port, port.node_port});
    }
    // The host asks.
    if (role.ready && role.ready->tcp_port != 0) {
      Add(AcceptRule::OUTSIDE, 0, to, AcceptRule::TCP,
          {role.ready->tcp_port, role.ready->tcp_port});
    }
    for (const Accept& accept : *role.accept) {
      for (const std::string& from : accept.from) AddFrom(from, to, accept);
    }
    // What closes it are the rules that lead to it, so there must be one.
    if (!any_) Add(AcceptRule::GROUP, kNobody, to, AcceptRule::ICMP, {});
  }

 private:
  void AddFrom(const std::string& from, uint32_t to, const Accept& accept) {
    AcceptRule::From kind = AcceptRule::GROUP;
    if (from == kAnybody) kind = AcceptRule::ANYBODY;
    if (from == kOutside) kind = AcceptRule::OUTSIDE;
    const uint32_t group = kind == AcceptRule::GROUP ? GroupOf(vcluster_, from) : 0;
    for (const PortRange& ports : accept.tcp) Add(kind, group, to, AcceptRule::TCP, ports);
    for (const PortRange& ports : accept.udp) Add(kind, group, to, AcceptRule::UDP, ports);
    if (accept.icmp) Add(kind, group, to, AcceptRule::ICMP, {});
    if (accept.tcp.empty() && accept.udp.empty() && !accept.icmp) {
      Add(kind, group, to, AcceptRule::EVERYTHING, {});
    }
  }
  void Add(AcceptRule::From from, uint32_t group, uint32_t to, AcceptRule::Kind kind,
           PortRange ports) {
    any_ = true;
    AcceptRule* rule = part_.add_accepts();
    rule->set_from(from);
    rule->set_from_group(group);
    rule->set_to_group(to);
    rule->set_kind(kind);
    rule->set_port_first(ports.first);
    rule->set_port_last(ports.last);
  }

  const Vcluster& vcluster_;
  host::v1::Part& part_;
  bool any_ = false;  // For the role that is added.
};

}  // namespace

uint32_t GroupOf(const Vcluster& vcluster, const std::string& role) {
  if (!vcluster.definition.HasAccepts()) return 0;
  for (const master::v1::RoleGroup& group : vcluster.record.role_groups()) {
    if (group.role() == role) return group.group();
  }
  return 0;
}

void AddAccepts(const Vcluster& vcluster, host::v1::Part* part) {
  Accepts accepts(vcluster, part);
  for (const Role& role : vcluster.definition.roles) {
    if (role.accept) accepts.Add(role);
  }
}

host::v1::Forward ForwardOf(const PortForward& port) {
  host::v1::Forward forward;
  forward.set_node_port(port.node_port);
  forward.set_udp(port.protocol == Protocol::kUdp);
  if (port.balance == Balance::kNone) {
    forward.set_host_port(port.host_port);
    return forward;
  }
  forward.set_role_port(port.host_port);
  forward.set_balance(port.balance == Balance::kSticky ? host::v1::STICKY : host::v1::ROUND_ROBIN);
  return forward;
}

KnownPorts BalancedPortsOf(const Vcluster& vcluster,
                           const std::map<uint32_t, host::v1::NodeStatus>& states) {
  KnownPorts known;
  for (const auto& [index, status] : states) {
    const master::v1::Node* node = vcluster.FindNode(index);
    if (node == nullptr || !node->wanted() || node->leaving()) continue;
    for (const host::v1::Forward& forward : status.forwards()) {
      const bool good = forward.host_port() != 0 && forward.host_port() <= 65'535;
      if (forward.balance() == host::v1::ONE_NODE || !good) continue;
      known[index].push_back({static_cast<uint16_t>(forward.node_port()), forward.udp(),
                              static_cast<uint16_t>(forward.host_port())});
    }
  }
  return known;
}

void AddKnownPorts(const Vcluster& vcluster, const master::v1::Node& node, const KnownPorts& known,
                   host::v1::Peer* peer) {
  const auto ports = known.find(node.index());
  if (ports == known.end()) return;
  for (const PortForward& wanted : vcluster.RoleOf(node)->ports) {
    if (wanted.balance == Balance::kNone) continue;
    const bool udp = wanted.protocol == Protocol::kUdp;
    const auto port = std::find_if(
        ports->second.begin(), ports->second.end(),
        [&](const KnownPort& one) { return one.node_port == wanted.node_port && one.udp == udp; });
    if (port == ports->second.end()) continue;
    host::v1::Forward* forward = peer->add_forwards();
    *forward = ForwardOf(wanted);
    forward->set_host_port(port->host_port);
    peer->set_role(node.role());
  }
}

void AddPeerVcluster(const PeerOf& peer, const std::string& host,
                     const std::map<std::string, std::string>& host_addresses,
                     host::v1::Part* part) {
  const Vcluster& vcluster = *peer.vcluster;
  host::v1::PeerVcluster* out = part->add_peer_vclusters();
  out->set_number(vcluster.record.number());
  out->set_subnet(vcluster.record.subnet());
  const std::string name =
      "." + vcluster.record.name() + (peer.owner.empty() ? "" : "." + peer.owner);
  for (const master::v1::Node& node : vcluster.record.nodes()) {
    if (node.leaving() || node.host().empty()) continue;
    host::v1::Peer* one = out->add_nodes();
    one->set_hostname(vcluster.Hostname(node) + name);
    one->add_aliases(node.role() + name);
    one->set_address(vcluster.AddressOf(node).ToString());
    if (node.host() == host) continue;
    const auto address = host_addresses.find(node.host());
    if (address != host_addresses.end()) one->set_host_address(address->second);
  }
}

std::pair<std::string, std::string> SplitPeer(const std::string& peer) {
  const size_t slash = peer.find('/');
  if (slash == std::string::npos) return {"", peer};
  return {peer.substr(0, slash), peer.substr(slash + 1)};
}

}  // namespace strata::vcluster
