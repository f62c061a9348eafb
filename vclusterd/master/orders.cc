#include "vclusterd/master/orders.h"

#include <algorithm>

#include "vclusterd/master/moves.h"

namespace strata::vcluster {
namespace {

using host::v1::NodeOrder;
using host::v1::Part;

// Between SIGTERM and SIGKILL for a node that moves, at least.
constexpr uint32_t kMoveGraceMs = 10'000;

void SetCommand(const std::optional<Hook>& hook, host::v1::Command* command) {
  command->mutable_argv()->Assign(hook->argv.begin(), hook->argv.end());
  command->set_timeout_s(static_cast<uint32_t>(hook->timeout.count()));
}

void SetLimits(const Role& role, const master::v1::Node& node, host::v1::Limits* limits) {
  limits->set_cpus(role.limits.cpus);
  limits->set_memory_bytes(role.limits.memory_bytes);
  limits->set_processes(role.limits.processes);
  limits->set_network_bits_per_s(role.limits.network_bits_per_s);
  limits->set_io_bytes_per_s(role.limits.io_bytes_per_s);
  if (node.has_disk_bytes()) {
    limits->set_disk_bytes(node.disk_bytes());
  } else if (role.limits.disk_bytes.has_value()) {
    limits->set_disk_bytes(*role.limits.disk_bytes);
  } else {
    limits->set_default_disk(true);
  }
}

host::v1::Restart RestartOf(RestartPolicy policy) {
  switch (policy) {
    case RestartPolicy::kOnFailure:
      return host::v1::ON_FAILURE;
    case RestartPolicy::kAlways:
      return host::v1::ALWAYS;
    case RestartPolicy::kNever:
      return host::v1::NEVER;
  }
  return host::v1::NEVER;
}

void SetLife(const Role& role, NodeOrder* order) {
  order->set_restart(RestartOf(role.restart));
  order->set_fenced(role.host_loss == HostLoss::kRecreate);
  if (role.hooks.on_create) SetCommand(role.hooks.on_create, order->mutable_on_create());
  if (role.hooks.on_destroy) SetCommand(role.hooks.on_destroy, order->mutable_on_destroy());
  if (role.hooks.on_recovery) SetCommand(role.hooks.on_recovery, order->mutable_on_recovery());
  if (!role.ready.has_value()) return;
  host::v1::ReadyCheck* ready = order->mutable_ready();
  ready->mutable_argv()->Assign(role.ready->argv.begin(), role.ready->argv.end());
  ready->set_tcp_port(role.ready->tcp_port);
  ready->set_every_ms(static_cast<uint32_t>(role.ready->every.count()));
  ready->set_timeout_s(static_cast<uint32_t>(role.ready->timeout.count()));
}

void SetContent(const Vcluster& vcluster, const master::v1::Node& node, const Role& role,
                NodeOrder* order) {
  order->set_image(role.ImageOf(node.ordinal()));
  for (const master::v1::ImageGrant& grant : vcluster.record.grants()) {
    if (grant.image() == order->image()) order->set_image_uid(grant.uid());
  }
  for (const auto& [name, value] : role.env) order->add_env(name + "=" + value);
  order->mutable_command()->Assign(role.command.begin(), role.command.end());
  for (const PortForward& port : role.ports) *order->add_forwards() = ForwardOf(port);
  for (const VolumeMount& mount : role.volumes) {
    host::v1::VolumeMount* volume = order->add_volumes();
    volume->set_volume(mount.volume);
    volume->set_path(mount.path);
    volume->set_read_only(mount.read_only);
    volume->set_directory(DirectoryOf(vcluster.record, mount.volume));
  }
}

// A role that follows a command's output has it run in its first node.
bool Measures(const Vcluster& vcluster, const master::v1::Node& node, const Role& role) {
  if (!role.autoscale.has_value() || role.autoscale->argv.empty()) return false;
  return std::none_of(vcluster.record.nodes().begin(), vcluster.record.nodes().end(),
                      [&](const master::v1::Node& other) {
                        return other.role() == role.name && !other.leaving() &&
                               other.ordinal() < node.ordinal();
                      });
}

NodeOrder OrderOf(const Vcluster& vcluster, const master::v1::Node& node, const Role& role,
                  bool may_start) {
  NodeOrder order;
  order.set_index(node.index());
  order.set_incarnation(node.incarnation());
  order.set_name(vcluster.NodeName(node));
  order.set_hostname(vcluster.Hostname(node));
  order.set_role(node.role());
  order.set_group(GroupOf(vcluster, node.role()));
  order.set_address(vcluster.AddressOf(node).ToString());
  order.set_machine_id(node.machine_id());
  order.set_driver(node.driver());
  order.set_stop_grace_ms(node.stop_grace_ms());
  order.set_attempt(node.attempt());
  order.set_intent(!node.wanted() ? host::v1::STOP : may_start ? host::v1::RUN : host::v1::HOLD);
  SetLimits(role, node, order.mutable_limits());
  SetContent(vcluster, node, role, &order);
  SetLife(role, &order);
  if (vcluster.definition.ScalesFromNodes()) order.set_scales(vcluster.record.scales_anew() + 1);
  if (Measures(vcluster, node, role)) {
    const Autoscale& rule = *role.autoscale;
    host::v1::Measurement* measurement = order.mutable_measurement();
    measurement->mutable_argv()->Assign(rule.argv.begin(), rule.argv.end());
    measurement->set_every_ms(static_cast<uint32_t>(std::chrono::milliseconds(rule.every).count()));
  }
  return order;
}

// What a move asks of the host that the node is on now.
void SetMove(const Vcluster& vcluster, const master::v1::Node& node, NodeOrder* order) {
  if (!node.has_move()) return;
  if (!IsArriving(node)) {
    order->set_intent(host::v1::STOP);
    order->set_stop_grace_ms(std::max(node.stop_grace_ms(), kMoveGraceMs));
    order->set_departure(DepartureName(vcluster.record.number(), node));
    return;
  }
  if (order->intent() == host::v1::RUN) order->set_intent(host::v1::HOLD);
  host::v1::Arrival* arrival = order->mutable_arrival();
  arrival->set_reference(node.move().saved());
  arrival->set_host(node.move().from());
  arrival->set_image(node.move().image());
  arrival->set_created(node.move().created());
}

// For the host that an arriving node leaves: it keeps what it has, as it is.
NodeOrder OrderForOldHost(const Vcluster& vcluster, const master::v1::Node& node) {
  master::v1::Node before = node;
  before.set_host(node.move().from());
  before.set_incarnation(node.move().from_incarnation());
  before.mutable_move()->clear_from();
  NodeOrder order = OrderOf(vcluster, before, *vcluster.RoleOf(node), /*may_start=*/false);
  SetMove(vcluster, before, &order);
  return order;
}

void AddPeer(const Vcluster& vcluster, const master::v1::Node& node, const std::string& host,
             const OrderContext& context, Part* part) {
  host::v1::Peer* peer = part->add_peers();
  const std::string hostname = vcluster.Hostname(node);
  const std::string ordinal = "-" + std::to_string(node.ordinal());
  peer->set_hostname(hostname);
  peer->set_address(vcluster.AddressOf(node).ToString());
  peer->add_aliases(hostname + "." + vcluster.record.name());
  peer->add_aliases(node.role() == kDefaultRole ? node.role() + ordinal
                                                : vcluster.record.name() + "-" + hostname);
  peer->add_aliases(node.role());  // So a role's name has the addresses of all its nodes.
  peer->set_group(GroupOf(vcluster, node.role()));
  if (node.host() == host) return;
  const auto address = context.host_addresses.find(node.host());
  if (address == context.host_addresses.end()) return;
  peer->set_host_address(address->second);
  AddKnownPorts(vcluster, node, context.balanced_ports, peer);
}

}  // namespace

std::set<std::string> RolesThatMayStart(const Vcluster& vcluster, const NodeStates& states) {
  std::set<std::string> unready;
  for (const master::v1::Node& node : vcluster.record.nodes()) {
    const auto state = states.find(node.index());
    // One that is stopped on purpose holds nobody back.
    const bool ready = !node.wanted() || node.leaving() ||
                       (state != states.end() && state->second.state() == host::v1::READY);
    if (!ready) unready.insert(node.role());
  }
  std::set<std::string> may_start;
  for (const Role& role : vcluster.definition.roles) {
    const bool waits =
        std::any_of(role.after.begin(), role.after.end(),
                    [&](const std::string& other) { return unready.contains(other); });
    if (!waits) may_start.insert(role.name);
  }
  return may_start;
}

Part OrderFor(const Vcluster& vcluster, const std::string& host, const OrderContext& context) {
  Part part;
  const master::v1::Vcluster& record = vcluster.record;
  part.set_number(record.number());
  part.set_force_removal(record.force_removal());
  if (record.phase() == master::v1::DELETING) return part;
  for (const master::v1::Node& node : record.nodes()) {
    if (node.leaving()) continue;
    if (node.host() == host) {
      NodeOrder* order = part.add_nodes();
      *order =
          OrderOf(vcluster, node, *vcluster.RoleOf(node), context.may_start.contains(node.role()));
      SetMove(vcluster, node, order);
    } else if (IsArriving(node) && node.move().from() == host) {
      *part.add_nodes() = OrderForOldHost(vcluster, node);
    }
  }
  if (part.nodes().empty()) return part;
  part.set_cluster(record.name());
  part.set_owner(context.owner_name);
  part.set_owner_uid(record.owner_uid());
  part.set_subnet(record.subnet());
  part.set_ssh_login_seed(record.ssh_login_seed());
  part.set_ssh_host_seed(record.ssh_host_seed());
  part.set_ssh_login_seed_before(record.ssh_login_seed_before());
  part.set_ssh_host_seed_before(record.ssh_host_seed_before());
  if (const auto own = context.host_addresses.find(host); own != context.host_addresses.end()) {
    part.set_host_address(own->second);
  }
  part.set_underlay_mtu(record.underlay_mtu());
  if (MountsVolumes(vcluster.definition)) part.set_shared_id(context.shared_id);
  for (const master::v1::Node& node : record.nodes()) {
    if (!node.leaving()) AddPeer(vcluster, node, host, context, &part);
  }
  AddAccepts(vcluster, &part);
  for (const PeerOf& peer : context.peers) {
    AddPeerVcluster(peer, host, context.host_addresses, &part);
  }
  part.set_owner_network_bits_per_s(context.owner_network_bits_per_s);
  return part;
}

}  // namespace strata::vcluster
