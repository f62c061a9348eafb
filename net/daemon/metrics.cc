#include "net/daemon/metrics.h"

namespace strata::net {
namespace {

prometheus::MetricFamily Counter(const std::string& name, const std::string& help, double value) {
  prometheus::MetricFamily family = http::Gauge(name, help, 0);
  family.type = prometheus::MetricType::Counter;
  family.metric[0] = {};
  family.metric[0].counter.value = value;
  return family;
}

}  // namespace

http::MetricFamilies MetricsOf(const NetworkKeeper& keeper) {
  const NetworkKeeper::State state = keeper.Look();
  const DesiredNetwork none;
  const DesiredNetwork& desired = state.desired.has_value() ? *state.desired : none;
  size_t remotes = 0;
  size_t forwards = 0;
  for (const Bridge& bridge : desired.bridges) {
    forwards += bridge.forwards.size();
    if (bridge.overlay) remotes += bridge.overlay->remotes.size();
  }
  return {
      http::Gauge("strata_net_networks", "Vclusters with a network on this host",
                  static_cast<double>(desired.bridges.size())),
      http::Gauge("strata_net_nodes", "Nodes of this host that have a link, or will have",
                  static_cast<double>(desired.veths.size())),
      http::Gauge("strata_net_remote_nodes", "Nodes of other hosts that this one has a way to",
                  static_cast<double>(remotes)),
      http::Gauge("strata_net_forwards", "Ports of this host that lead to nodes",
                  static_cast<double>(forwards)),
      http::Gauge("strata_net_problem", "1: networks are not as they should be (vnet show)",
                  state.problem.has_value() ? 1 : 0),
      Counter("strata_net_looks_total", "How often what is there was compared with what should be",
              static_cast<double>(state.looks)),
      Counter("strata_net_repairs_total", "How often somebody else's change was mended",
              static_cast<double>(state.repairs)),
  };
}

}  // namespace strata::net
