#include "vclusterd/daemon/metrics.h"

#include <algorithm>
#include <map>
#include <span>

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

struct CounterOf {
  const char* name;  // Behind strata_node_ or strata_host_.
  const char* help;
  double (*value)(const UsageTotals&);
};
constexpr CounterOf kCounters[] = {
    {"cpu_seconds_total", "Time of all cores that was used",
     [](const UsageTotals& totals) { return totals.cpu_s; }},
    {"disk_read_bytes_total", "From block devices",
     [](const UsageTotals& totals) { return static_cast<double>(totals.read_bytes); }},
    {"disk_written_bytes_total", "To block devices",
     [](const UsageTotals& totals) { return static_cast<double>(totals.written_bytes); }},
    {"network_received_bytes_total", "From all network devices but the loopback",
     [](const UsageTotals& totals) { return static_cast<double>(totals.received_bytes); }},
    {"network_sent_bytes_total", "To all network devices but the loopback",
     [](const UsageTotals& totals) { return static_cast<double>(totals.sent_bytes); }},
};

struct GaugeOf {
  const char* name;
  const char* help;
  double (*value)(const host::v1::Usage&);
};
constexpr GaugeOf kPressures[] = {
    {"cpu_pressure", "Share of time in which a process waited (PSI some, 10 s)",
     [](const host::v1::Usage& usage) { return usage.cpu_pressure(); }},
    {"memory_pressure", "Likewise for memory",
     [](const host::v1::Usage& usage) { return usage.memory_pressure(); }},
    {"io_pressure", "Likewise for block devices",
     [](const host::v1::Usage& usage) { return usage.io_pressure(); }},
};

void AddHost(const HostFigures& figures, http::MetricFamilies* families) {
  if (figures.totals.has_value()) {
    for (const CounterOf& counter : kCounters) {
      families->push_back(http::Counter(std::string("strata_host_") + counter.name, counter.help,
                                        counter.value(*figures.totals)));
    }
  }
  if (!figures.load.has_value()) return;
  const host::v1::Usage& usage = figures.load->usage();
  families->push_back(http::Gauge("strata_host_cpus_used", "Cores that were busy", usage.cpus()));
  families->push_back(http::Gauge("strata_host_memory_used_bytes", "Memory that is not available",
                                  static_cast<double>(usage.memory_bytes())));
  families->push_back(http::Gauge("strata_host_disk_free_bytes", "Where nodes keep what they write",
                                  static_cast<double>(figures.load->disk_free_bytes())));
  for (const GaugeOf& pressure : kPressures) {
    families->push_back(http::Gauge(std::string("strata_host_") + pressure.name, pressure.help,
                                    pressure.value(usage)));
  }
}

// A family of the same metric of each of these nodes.
template <typename Set>
prometheus::MetricFamily ByNode(const std::string& name, const std::string& help,
                                prometheus::MetricType type, std::span<const NodeFigures> nodes,
                                Set set) {
  prometheus::MetricFamily family = http::Gauge("strata_node_" + name, help, 0);
  family.type = type;
  family.metric.clear();
  for (const NodeFigures& node : nodes) {
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    metric.label = {{"owner", node.owner}, {"vcluster", node.vcluster}, {"node", node.node}};
    set(node, &metric);
  }
  return family;
}

void AddNodes(const std::vector<NodeFigures>& all, http::MetricFamilies* families) {
  const std::span<const NodeFigures> named(all.data(), std::min(all.size(), kNamedNodesMax));
  families->push_back(http::Gauge("strata_host_nodes_unnamed",
                                  "Nodes that run here and are too many to be in strata_node_*",
                                  static_cast<double>(all.size() - named.size())));
  if (named.empty()) return;
  using prometheus::ClientMetric;
  using prometheus::MetricType;
  for (const CounterOf& counter : kCounters) {
    families->push_back(ByNode(counter.name, counter.help, MetricType::Counter, named,
                               [&](const NodeFigures& node, ClientMetric* metric) {
                                 metric->counter.value = counter.value(node.totals);
                               }));
  }
  families->push_back(ByNode("memory_bytes", "Memory that it has", MetricType::Gauge, named,
                             [](const NodeFigures& node, ClientMetric* metric) {
                               metric->gauge.value = static_cast<double>(node.usage.memory_bytes());
                             }));
  for (const GaugeOf& pressure : kPressures) {
    families->push_back(ByNode(pressure.name, pressure.help, MetricType::Gauge, named,
                               [&](const NodeFigures& node, ClientMetric* metric) {
                                 metric->gauge.value = pressure.value(node.usage);
                               }));
  }
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
  return MetricsOf(HostFigures{nodes.Statuses(/*with_usage=*/false), nodes.Figures(), nodes.Load(),
                               nodes.Totals()});
}

http::MetricFamilies MetricsOf(const HostFigures& figures) {
  std::map<host::v1::NodeState, uint32_t> states;
  double restarts = 0;
  double cpus = 0;
  double memory = 0;
  for (const host::v1::PartStatus& part : figures.parts) {
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
  AddHost(figures, &families);
  AddNodes(figures.nodes, &families);
  return families;
}

}  // namespace strata::vcluster
