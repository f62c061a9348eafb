// The networks of this host, as the parts say.
#include <algorithm>
#include <set>

#include "net/network_maker.h"
#include "net/subnets.h"
#include "vclusterd/host/host_nodes.h"
#include "vclusterd/host/node_names.h"

namespace strata::vcluster {
namespace {

using host::v1::AcceptRule;
using host::v1::Forward;
using host::v1::NodeOrder;

net::Protocol ProtocolOf(const Forward& forward) {
  return forward.udp() ? net::Protocol::kUdp : net::Protocol::kTcp;
}

// In message and value they are the same numbers.
static_assert(static_cast<int>(net::GroupRule::From::kGroup) == AcceptRule::GROUP &&
              static_cast<int>(net::GroupRule::From::kOutside) == AcceptRule::OUTSIDE &&
              static_cast<int>(net::GroupRule::Kind::kTcp) == AcceptRule::TCP &&
              static_cast<int>(net::GroupRule::Kind::kUdp) == AcceptRule::UDP &&
              static_cast<int>(net::GroupRule::Kind::kIcmp) == AcceptRule::ICMP);

void AddGroupRules(const host::v1::Part& order, net::Bridge* bridge) {
  for (const AcceptRule& rule : order.accepts()) {
    net::GroupRule& out = bridge->group_rules.emplace_back();
    out.from = static_cast<net::GroupRule::From>(rule.from());
    out.from_group = rule.from_group();
    out.to_group = rule.to_group();
    out.kind = static_cast<net::GroupRule::Kind>(rule.kind());
    out.port_first = static_cast<uint16_t>(rule.port_first());
    out.port_last = static_cast<uint16_t>(rule.port_last());
  }
}

// Ports of this host that lead to all nodes of a role.
class BalancedPorts {
 public:
  explicit BalancedPorts(const net::Ipv4Prefix& prefix) : prefix_(prefix) {}

  // A node of this host, with what leads to it.
  void AddNode(const NodeOrder& node, const host::v1::LocalNode& local) {
    for (const Forward& forward : local.forwards()) {
      if (forward.balance() == host::v1::ONE_NODE) continue;
      Port& port = ports_[{forward.udp(), forward.role_port()}];
      port.role = node.role();
      port.node_port = forward.node_port();
      port.balanced.protocol = ProtocolOf(forward);
      port.balanced.host_port = static_cast<uint16_t>(forward.role_port());
      port.balanced.sticky = forward.balance() == host::v1::STICKY;
      if (node.intent() == host::v1::STOP) continue;
      AddTarget(prefix_.Host(net::kFirstNodeHost + node.index()), forward.node_port(), &port);
    }
  }
  // One of another host.
  void AddRemote(const host::v1::Peer& peer, net::Ipv4 host) {
    for (const Forward& forward : peer.forwards()) {
      for (auto& [key, port] : ports_) {
        if (key.first != forward.udp() || port.role != peer.role() ||
            port.node_port != forward.node_port()) {
          continue;
        }
        AddTarget(host, forward.host_port(), &port);
      }
    }
  }
  // One that leads nowhere is none.
  void AddTo(net::Bridge* bridge) {
    for (auto& [key, port] : ports_) {
      if (!port.balanced.targets.empty()) bridge->balanced.push_back(std::move(port.balanced));
    }
  }

 private:
  struct Port {
    std::string role;
    uint32_t node_port = 0;
    net::BalancedForward balanced;
  };

  static void AddTarget(net::Ipv4 address, uint32_t port, Port* out) {
    const net::Target target{address, static_cast<uint16_t>(port)};
    auto& targets = out->balanced.targets;
    if (std::find(targets.begin(), targets.end(), target) == targets.end()) {
      targets.push_back(target);
    }
  }

  const net::Ipv4Prefix prefix_;
  std::map<std::pair<bool, uint32_t>, Port> ports_;  // By protocol (UDP) and port of the host.
};

// Bridges of Vclusters that have no node here, because others talk with them. What may be of a
// time that is over is left out where it does not fit to what is here.
void AddPeerBridge(net::Bridge bridge, uint32_t peer, net::DesiredNetwork* desired) {
  for (net::Bridge& other : desired->bridges) {
    if (other.number == bridge.number) return other.peers.push_back(peer);
    if (other.prefix.Overlaps(bridge.prefix)) return;
  }
  bridge.peers.push_back(peer);
  desired->bridges.push_back(std::move(bridge));
}

}  // namespace

// The way to the Vcluster's nodes on other hosts.
std::optional<net::Overlay> HostNodes::OverlayOf(const host::v1::Part& order, uint32_t number,
                                                 const Peers& peers) const {
  if (!config_.underlay.has_value()) return std::nullopt;
  net::Overlay overlay;
  overlay.vni = number;
  overlay.local = *OwnAddress(order);
  overlay.underlay_mtu = UnderlayMtuOf(order);
  overlay.port = config_.vxlan_port;
  for (const host::v1::Peer& peer : peers) {
    const auto host = HostOf(order, peer);
    if (!host.has_value()) continue;
    net::RemoteNode& remote = overlay.remotes.emplace_back();
    // Checked when the order was taken.
    remote.address = net::Ipv4::Parse(peer.address()).value_or(net::Ipv4());
    remote.host = *host;
    remote.mac = net::MacForNode(overlay.vni, remote.address);
    remote.group = peer.group();
  }
  return overlay;
}

// Addresses are checked when an order is taken.
std::optional<net::Ipv4> HostNodes::OwnAddress(const host::v1::Part& order) const {
  if (!config_.underlay.has_value()) return std::nullopt;
  return net::Ipv4::Parse(order.host_address()).value_or(*config_.underlay);
}

std::optional<net::Ipv4> HostNodes::HostOf(const host::v1::Part& order,
                                           const host::v1::Peer& peer) const {
  const auto host = net::Ipv4::Parse(peer.host_address());
  const std::optional<net::Ipv4> own = OwnAddress(order);
  if (!host.ok() || !own.has_value() || *host == *own) return std::nullopt;
  return *host;
}

uint32_t HostNodes::UnderlayMtuOf(const host::v1::Part& order) const {
  return order.underlay_mtu() == 0 ? config_.underlay_mtu : order.underlay_mtu();
}

Status HostNodes::UpdateNetwork() {
  const std::lock_guard network_lock(network_mutex_);
  const auto put = [&]() -> Status {
    ASSIGN_OR_RETURN(net::DesiredNetwork desired, DesiredNetwork());
    return network_->Put(std::move(desired));
  };
  Status updated = put();
  network_is_broken_ = !updated.ok();
  return updated;
}

Status HostNodes::AddNetworkOf(const Part& part, net::DesiredNetwork* desired) const {
  const host::v1::Part& order = part.order;
  const uint32_t number = order.number();
  ASSIGN_OR_RETURN(const net::Ipv4Prefix prefix, net::Ipv4Prefix::Parse(order.subnet()));
  net::Bridge bridge = net::MakeBridge(desired->instance, number, prefix, config_.pool6);
  bridge.overlay = OverlayOf(order, number, order.peers());
  AddGroupRules(order, &bridge);
  bridge.names = NamesOf(order, bridge);
  std::map<uint32_t, uint64_t> rates;
  std::map<uint32_t, uint32_t> groups;
  BalancedPorts balanced(prefix);
  for (const NodeOrder& node : order.nodes()) {
    rates[node.index()] = node.limits().network_bits_per_s();
    groups[node.index()] = node.group();
    const auto local = part.nodes.find(node.index());
    if (local != part.nodes.end()) balanced.AddNode(node, local->second->local);
  }
  for (const host::v1::Peer& peer : order.peers()) {
    if (const auto host = HostOf(order, peer)) balanced.AddRemote(peer, *host);
  }
  balanced.AddTo(&bridge);
  for (const auto& [index, node] : part.nodes) {
    for (const Forward& forward : node->local.forwards()) {
      bridge.forwards.push_back({ProtocolOf(forward), static_cast<uint16_t>(forward.host_port()),
                                 prefix.Host(net::kFirstNodeHost + index),
                                 static_cast<uint16_t>(forward.node_port())});
    }
    net::Veth veth = net::MakeVeth(desired->instance, number, index, rates[index]);
    // One that leaves is in no order any more, but still of its role.
    veth.group = groups.contains(index) ? groups[index] : node->local.group();
    // Whose links have a limit to share pass rules, and no faster way.
    if (order.owner_network_bits_per_s() != 0) veth.user = order.owner_uid();
    desired->veths.push_back(std::move(veth));
  }
  for (const host::v1::PeerVcluster& peer : order.peer_vclusters()) {
    bridge.peers.push_back(peer.number());
  }
  desired->bridges.push_back(std::move(bridge));
  return Ok();
}

Result<net::DesiredNetwork> HostNodes::DesiredNetwork() {
  net::DesiredNetwork desired{config_.host.instance, config_.pool, {}, {}};
  desired.pool6 = config_.pool6;
  // With a file that cannot be read it is not known what belongs to it.
  desired.keep_unknown_veths = !unreadable_.empty();
  ASSIGN_OR_RETURN(desired.fabric, DesiredFabric());
  std::vector<std::pair<PartPtr, host::v1::PeerVcluster>> peers;  // Whose, and which.
  std::map<uint32_t, std::pair<uint64_t, uint64_t>> limits;  // Of owners: as of revision, and what.
  const std::lock_guard lock(mutex_);
  for (const auto& [number, part] : parts_) {
    const std::lock_guard part_lock(part->mutex);
    if (part->nodes.empty()) continue;
    RETURN_IF_ERROR(AddNetworkOf(*part, &desired));
    const host::v1::Part& order = part->order;
    for (const host::v1::PeerVcluster& peer : order.peer_vclusters()) {
      peers.emplace_back(part, peer);
    }
    auto& limit = limits[order.owner_uid()];
    limit = std::max(limit, {order.revision(), order.owner_network_bits_per_s()});
  }
  for (const auto& [owner, limit] : limits) {
    if (owner != 0 && limit.second != 0) desired.user_limits.push_back({owner, limit.second});
  }
  const auto is_here = [&, own = desired.bridges.size()](uint32_t number) {
    return std::any_of(desired.bridges.begin(), desired.bridges.begin() + own,
                       [&](const net::Bridge& bridge) { return bridge.number == number; });
  };
  for (const auto& [part, peer] : peers) {
    if (is_here(peer.number())) continue;
    const std::lock_guard part_lock(part->mutex);
    const host::v1::Part& order = part->order;
    ASSIGN_OR_RETURN(const net::Ipv4Prefix prefix, net::Ipv4Prefix::Parse(peer.subnet()));
    net::Bridge bridge = net::MakeBridge(desired.instance, peer.number(), prefix, config_.pool6);
    bridge.overlay = OverlayOf(order, peer.number(), peer.nodes());
    if (!bridge.overlay.has_value() || bridge.overlay->remotes.empty()) continue;
    AddPeerBridge(std::move(bridge), order.number(), &desired);
  }
  return desired;
}

}  // namespace strata::vcluster
