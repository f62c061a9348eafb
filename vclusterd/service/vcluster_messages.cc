#include "vclusterd/service/vcluster_messages.h"

namespace strata::vcluster {
namespace {

void ToProto(const host::v1::Usage& usage, v1::Usage* out) {
  out->set_cpus(usage.cpus());
  out->set_memory_bytes(usage.memory_bytes());
  out->set_read_bytes_per_s(usage.read_bytes_per_s());
  out->set_written_bytes_per_s(usage.written_bytes_per_s());
  out->set_seconds(usage.seconds());
  out->set_received_bytes_per_s(usage.received_bytes_per_s());
  out->set_sent_bytes_per_s(usage.sent_bytes_per_s());
  out->set_cpu_pressure(usage.cpu_pressure());
  out->set_memory_pressure(usage.memory_pressure());
  out->set_io_pressure(usage.io_pressure());
}

v1::NodeState ToProto(NodeCondition condition) {
  switch (condition) {
    case NodeCondition::kCreating:
      return v1::CREATING;
    case NodeCondition::kRunning:
      return v1::RUNNING;
    case NodeCondition::kStopped:
      return v1::STOPPED;
    case NodeCondition::kBreakdown:
      return v1::BREAKDOWN;
  }
  return v1::NODE_STATE_UNSPECIFIED;
}

void ToProto(const host::v1::HookRun& run, v1::HookRun* info) {
  info->set_hook(run.hook());
  info->set_unix_ms(run.unix_ms());
  info->set_seconds(run.seconds());
  info->set_exit_code(run.exit_code());
  info->set_problem(run.problem());
  info->set_output(run.output());
}

void ToProto(const NodeView& view, v1::NodeInfo* info) {
  info->set_name(view.name);
  info->set_hostname(view.hostname);
  info->set_address(view.address.ToString());
  info->set_state(ToProto(view.condition));
  info->set_image(view.image);
  info->set_image_digest(view.image_digest);
  info->mutable_limits()->set_cpus(view.limits.cpus);
  info->mutable_limits()->set_memory_bytes(view.limits.memory_bytes);
  info->mutable_limits()->set_processes(view.limits.processes);
  info->mutable_limits()->set_disk_bytes(view.disk_limit_bytes);
  info->set_volume(view.volume);
  info->set_driver(view.driver);
  info->set_init_pid(view.init_pid);
  info->set_upper_bytes(view.upper_bytes);
  info->set_problem(view.problem);
  info->set_start_ms(view.start_ms);
  info->set_role(view.role);
  info->set_host(view.host);
  info->set_ready(view.ready);
  info->set_restarts(view.restarts);
  if (view.usage.has_value()) ToProto(*view.usage, info->mutable_usage());
  for (const host::v1::Forward& port : view.ports) {
    v1::Port* out = info->add_ports();
    out->set_node_port(port.node_port());
    out->set_host_port(port.host_port());
    out->set_udp(port.udp());
    out->set_role_port(port.role_port());
  }
  for (const host::v1::HookRun& run : view.hooks) ToProto(run, info->add_hooks());
}

v1::ChangeEffect ToProto(ChangeEffect effect) {
  switch (effect) {
    case ChangeEffect::kLive:
      return v1::AT_ONCE;
    case ChangeEffect::kNextStart:
      return v1::NEXT_START;
    case ChangeEffect::kRecreate:
      return v1::RECREATES;
    case ChangeEffect::kRefused:
      return v1::REFUSED;
  }
  return v1::REFUSED;
}

}  // namespace

void ToProto(const host::v1::UsageHistory& history, v1::UsageHistory* message) {
  for (const host::v1::UsagePoint& point : history.points()) {
    v1::UsagePoint* out = message->add_points();
    out->set_unix_s(point.unix_s());
    ToProto(point.usage(), out->mutable_usage());
    out->set_disk_free_bytes(point.disk_free_bytes());
  }
}

void ToProto(const ClusterView& view, v1::VclusterInfo* info) {
  info->set_name(view.name);
  info->set_owner(view.owner);
  info->set_owner_uid(view.owner_uid);
  info->set_subnet(view.prefix.ToString());
  info->set_created_unix_ms(view.created_unix_ms);
  info->set_cloned_from(view.cloned_from);
  info->set_expires_unix_s(view.expires_unix_s);
  info->set_description(view.description);
  info->set_notice(view.notice);
  for (const NodeView& node : view.nodes) ToProto(node, info->add_nodes());
}

void ToProto(const Master::HostView& host, v1::HostInfo* info) {
  info->set_name(host.name);
  info->set_present(host.present);
  info->set_draining(host.draining);
  info->set_cpus(host.capacity.cpus());
  info->set_memory_bytes(host.capacity.memory_bytes());
  info->set_disk_bytes(host.capacity.disk_bytes());
  *info->mutable_labels() = host.capacity.labels();
  info->set_nodes(host.nodes);
  info->set_provider(host.provider);
  info->set_price_per_hour(host.price_per_hour);
  info->set_notice(host.notice);
  info->set_fabric_address(host.fabric_address);
  info->set_left(host.left);
  info->set_moving(host.moving);
  for (const auto& [node, why] : host.staying) {
    v1::StayingNode* staying = info->add_staying();
    staying->set_name(node);
    staying->set_why(why);
  }
  if (!host.load.has_value()) return;
  info->set_disk_free_bytes(host.load->disk_free_bytes());
  ToProto(host.load->usage(), info->mutable_usage());
}

void ToProto(const std::vector<Master::HostView>& hosts, v1::Hosts* message) {
  for (const Master::HostView& host : hosts) ToProto(host, message->add_hosts());
}

void ToProto(const Clusters::Applied& applied, v1::ApplyResult* result) {
  for (const DefinitionChange& change : applied.changes) {
    v1::DefinitionChange* out = result->add_changes();
    out->set_path(change.path);
    out->set_from(change.from);
    out->set_to(change.to);
    out->set_effect(ToProto(change.effect));
  }
  result->set_created(applied.created);
  if (applied.view.has_value()) ToProto(*applied.view, result->add_clusters());
}

}  // namespace strata::vcluster
