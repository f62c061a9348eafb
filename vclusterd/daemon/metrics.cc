#include "vclusterd/daemon/metrics.h"

#include <algorithm>
#include <map>

namespace strata::vcluster {
namespace {

std::string NameOf(host::v1::NodeState state) {
  std::string name = host::v1::NodeState_Name(state);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

prometheus::MetricFamily ByState(const char* name, const char* help,
                                 const std::map<host::v1::NodeState, uint32_t>& counts) {
  prometheus::MetricFamily family = http::Gauge(name, help, 0);
  family.metric.clear();
  for (int i = host::v1::NodeState_MIN; i <= host::v1::NodeState_MAX; ++i) {
    const auto state = static_cast<host::v1::NodeState>(i);
    const auto count = counts.find(state);
    http::AddGauge("state", NameOf(state), count == counts.end() ? 0 : count->second, &family);
  }
  return family;
}

}  // namespace

http::MetricFamilies MetricsOf(Master& master) {
  std::map<host::v1::NodeState, uint32_t> states;
  double unplaced = 0;
  const std::vector<VclusterView> views = master.All();
  for (const VclusterView& view : views) {
    for (const master::v1::Node& node : view.vcluster->record.nodes()) {
      if (node.host().empty()) ++unplaced;
      const auto state = view.states.find(node.index());
      ++states[state == view.states.end() ? host::v1::UNKNOWN : state->second.state()];
    }
  }
  uint32_t present = 0;
  uint32_t lost = 0;
  uint32_t draining = 0;
  for (const Master::HostView& host : master.Hosts()) {
    ++(host.present ? present : lost);
    if (host.draining) ++draining;
  }
  prometheus::MetricFamily hosts = http::Gauge("strata_hosts", "Hosts of the cluster", 0);
  hosts.metric.clear();
  http::AddGauge("condition", "present", present, &hosts);
  http::AddGauge("condition", "lost", lost, &hosts);
  http::AddGauge("condition", "draining", draining, &hosts);
  return {http::Gauge("strata_vclusters", "Vclusters that exist, or are made or deleted",
                      static_cast<double>(views.size())),
          ByState("strata_nodes", "Nodes of all Vclusters, as their hosts say", states),
          http::Gauge("strata_nodes_without_host", "Nodes for which there is no place", unplaced),
          hosts,
          http::Gauge("strata_master_epoch", "Of this lead; each takeover moves it on",
                      static_cast<double>(master.epoch()))};
}

http::MetricFamilies MetricsOf(HostNodes& nodes) {
  std::map<host::v1::NodeState, uint32_t> states;
  double restarts = 0;
  double cpus = 0;
  double memory = 0;
  for (const host::v1::PartStatus& part : nodes.Statuses(/*with_usage=*/false)) {
    for (const host::v1::NodeStatus& node : part.nodes()) {
      ++states[node.state()];
      restarts += node.restarts();
      cpus += node.usage().cpus();
      memory += static_cast<double>(node.usage().memory_bytes());
    }
  }
  http::MetricFamilies families = {
      ByState("strata_host_nodes", "Nodes on this host", states),
      http::Gauge("strata_host_node_restarts", "Of the nodes that are here, after breakdowns",
                  restarts),
      http::Gauge("strata_host_nodes_cpus", "Cores that nodes used, at the last look", cpus),
      http::Gauge("strata_host_nodes_memory_bytes", "Memory that nodes have", memory)};
  if (const auto load = nodes.Load()) {
    const host::v1::Usage& usage = load->usage();
    const auto add = [&](const char* name, const char* help, double value) {
      families.push_back(http::Gauge(name, help, value));
    };
    add("strata_host_cpus_used", "Cores that were busy", usage.cpus());
    add("strata_host_memory_used_bytes", "Memory that is not available",
        static_cast<double>(usage.memory_bytes()));
    add("strata_host_disk_free_bytes", "Where nodes keep what they write",
        static_cast<double>(load->disk_free_bytes()));
    add("strata_host_cpu_pressure", "Share of time in which a process waited (PSI some, 10 s)",
        usage.cpu_pressure());
    add("strata_host_memory_pressure", "Likewise for memory", usage.memory_pressure());
    add("strata_host_io_pressure", "Likewise for block devices", usage.io_pressure());
  }
  return families;
}

}  // namespace strata::vcluster
