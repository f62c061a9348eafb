// From an order to what a node is started with.
#include "net/network_maker.h"
#include "net/subnets.h"
#include "vclusterd/host/host_nodes.h"
#include "vclusterd/host/node_names.h"
#include "vclusterd/volumes/shared_dir.h"

namespace strata::vcluster {
namespace {

using host::v1::NodeOrder;

// Of a node of this network.
NodeAddress AddressOf(const net::Bridge& network, const host::v1::Peer& peer) {
  NodeAddress node{peer.hostname(), {peer.aliases().begin(), peer.aliases().end()}, {}, {}};
  node.address = net::Ipv4::Parse(peer.address()).value_or(net::Ipv4());
  if (network.prefix6) node.address6 = network.Address6Of(node.address);
  return node;
}

}  // namespace

Limits HostNodes::LimitsOf(const NodeOrder& order) {
  Limits limits;
  limits.cpus = order.limits().cpus();
  limits.memory_bytes = order.limits().memory_bytes();
  limits.processes = order.limits().processes();
  limits.network_bits_per_s = order.limits().network_bits_per_s();
  limits.io_bytes_per_s = order.limits().io_bytes_per_s();
  return limits;
}

NodeSpec HostNodes::SpecOf(const Job& job) const {
  const host::v1::Part& order = job.order;
  const NodeOrder& node = *job.wanted;
  NodeSpec spec;
  spec.id = job.id;
  if (config_.underlay.has_value()) spec.mtu = UnderlayMtuOf(order) - net::kVxlanHeaderBytes;
  spec.prefix = net::Ipv4Prefix::Parse(order.subnet()).value_or(net::Ipv4Prefix());
  const auto network_of = [&](uint32_t number, const net::Ipv4Prefix& prefix) {
    const bool has_ipv6 = spec.mtu >= net::kIpv6MtuMin;
    return net::MakeBridge(config_.host.instance, number, prefix,
                           has_ipv6 ? config_.pool6 : std::nullopt);
  };
  const net::Bridge bridge = network_of(order.number(), spec.prefix);
  for (const host::v1::Peer& peer : order.peers()) spec.peers.push_back(AddressOf(bridge, peer));
  for (const host::v1::PeerVcluster& other : order.peer_vclusters()) {
    const net::Bridge theirs = network_of(
        other.number(), net::Ipv4Prefix::Parse(other.subnet()).value_or(net::Ipv4Prefix()));
    for (const host::v1::Peer& peer : other.nodes()) {
      spec.neighbours.push_back(AddressOf(theirs, peer));
    }
  }
  host::v1::Peer self;
  self.set_hostname(node.hostname());
  self.set_address(node.address());
  spec.self = AddressOf(bridge, self);
  spec.gateway = spec.prefix.Host(net::kGatewayHost);
  if (network_->ServesNames()) spec.domain = DomainOf(order);
  if (!network_->JoinsLinks()) spec.bridge = bridge.name;
  spec.fills_in_checksums = network_->NeedsChecksums();
  spec.veth = net::VethName(config_.host.instance, order.number(), node.index());
  spec.mac = net::MacForNode(order.number(), spec.self.address);
  spec.id_first = job.id_first;
  spec.limits = LimitsOf(node);
  spec.machine_id = node.machine_id();
  spec.ssh = {order.ssh_login_seed(), order.ssh_host_seed(), order.ssh_login_seed_before(),
              order.ssh_host_seed_before()};
  if (node.command().empty()) {
    spec.command.assign(job.local.command().begin(), job.local.command().end());
  } else {
    spec.command.assign(node.command().begin(), node.command().end());
  }
  spec.env.assign(job.local.env().begin(), job.local.env().end());
  spec.env.insert(spec.env.end(), node.env().begin(), node.env().end());
  spec.owner_uid = order.owner_uid();
  spec.shared_id = order.shared_id();
  for (const host::v1::VolumeMount& volume : node.volumes()) {
    spec.volumes.push_back(
        {volume.volume(),
         volume.directory().empty() ? HomeDirectory(spec.owner_uid) : volume.directory(),
         volume.path(), volume.read_only()});
  }
  return spec;
}

}  // namespace strata::vcluster
