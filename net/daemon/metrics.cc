#include "net/daemon/metrics.h"

#include "common/log.h"
#include "net/rule_counters.h"

namespace strata::net {
namespace {

// What the rules of this instance counted, by reason or forward.
void AddRuleCounters(const std::string& instance, http::MetricFamilies* families) {
  const auto counters = ReadCounters(instance);
  if (!counters.ok()) {
    LOG_WARNING("counters of rules: " + counters.error().message());
    return;
  }
  prometheus::MetricFamily packets =
      http::Counter("strata_net_rule_packets_total", "Packets that a rule took, by its counter", 0);
  prometheus::MetricFamily bytes =
      http::Counter("strata_net_rule_bytes_total", "Bytes that a rule took, by its counter", 0);
  packets.metric.clear();
  bytes.metric.clear();
  for (const RuleCounter& counter : *counters) {
    const auto add = [&](prometheus::MetricFamily* family, uint64_t value) {
      prometheus::ClientMetric metric;
      metric.label = {{"counter", counter.name}};
      metric.counter.value = static_cast<double>(value);
      family->metric.push_back(std::move(metric));
    };
    add(&packets, counter.packets);
    add(&bytes, counter.bytes);
  }
  families->push_back(std::move(packets));
  families->push_back(std::move(bytes));
}

// Questions of nodes by what became of them; those that wait are of none yet.
void AddNameCounts(const NetworkKeeper::State& state, http::MetricFamilies* families) {
  const NameCounts& counts = state.name_counts;
  families->push_back(http::Gauge("strata_net_names_problem",
                                  "1: some questions for names are not answered (vnet show)",
                                  state.names_problem.has_value() ? 1 : 0));
  prometheus::MetricFamily questions = http::Counter(
      "strata_net_name_questions_total", "Nodes' questions for names, by what became of them", 0);
  questions.metric.clear();
  const std::pair<const char*, uint64_t> kinds[] = {{"own", counts.own},
                                                    {"own_none", counts.own_none},
                                                    {"passed_on", counts.passed_on},
                                                    {"refused", counts.refused},
                                                    {"malformed", counts.malformed},
                                                    {"over_limit", counts.over_limit},
                                                    {"failed", counts.failed}};
  for (const auto& [kind, count] : kinds) {
    prometheus::ClientMetric metric;
    metric.label = {{"outcome", kind}};
    metric.counter.value = static_cast<double>(count);
    questions.metric.push_back(std::move(metric));
  }
  families->push_back(std::move(questions));
}

// What passed between this host and each other one in the fabric, and when it was heard last.
void AddFabric(NetworkKeeper& keeper, http::MetricFamilies* families) {
  const auto view = keeper.LookAtFabric();
  if (!view.ok()) {
    LOG_WARNING("fabric: " + view.error().message());
    return;
  }
  prometheus::MetricFamily received = http::Counter("strata_net_fabric_received_bytes_total",
                                                    "Bytes that came from a host in the fabric", 0);
  prometheus::MetricFamily sent = http::Counter("strata_net_fabric_sent_bytes_total",
                                                "Bytes that went to a host in the fabric", 0);
  prometheus::MetricFamily heard =
      http::Gauge("strata_net_fabric_last_handshake_seconds",
                  "When a host was heard last in the fabric, since 1970; 0: never", 0);
  for (prometheus::MetricFamily* family : {&received, &sent, &heard}) family->metric.clear();
  for (const FabricView::Peer& peer : view->peers) {
    prometheus::ClientMetric metric;
    metric.label = {{"host", peer.host}};
    metric.counter.value = static_cast<double>(peer.received_bytes);
    received.metric.push_back(metric);
    metric.counter.value = static_cast<double>(peer.sent_bytes);
    sent.metric.push_back(metric);
    metric.counter.value = 0;
    metric.gauge.value = std::chrono::duration<double>(peer.last_handshake).count();
    heard.metric.push_back(metric);
  }
  families->push_back(http::Gauge("strata_net_fabric_peers", "Other hosts of the fabric",
                                  static_cast<double>(view->peers.size())));
  families->push_back(std::move(received));
  families->push_back(std::move(sent));
  families->push_back(std::move(heard));
}

}  // namespace

http::MetricFamilies MetricsOf(NetworkKeeper& keeper, const std::string& instance) {
  const NetworkKeeper::State state = keeper.Look();
  const DesiredNetwork none;
  const DesiredNetwork& desired = state.desired.has_value() ? *state.desired : none;
  size_t remotes = 0;
  size_t forwards = 0;
  for (const Bridge& bridge : desired.bridges) {
    forwards += bridge.forwards.size();
    if (bridge.overlay) remotes += bridge.overlay->remotes.size();
  }
  http::MetricFamilies families = {
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
      http::Counter("strata_net_looks_total",
                    "How often what is there was compared with what should be",
                    static_cast<double>(state.looks)),
      http::Counter("strata_net_repairs_total", "How often somebody else's change was mended",
                    static_cast<double>(state.repairs)),
  };
  if (state.fast_frames.has_value()) {
    families.push_back(http::Counter("strata_net_fast_frames_total",
                                     "Frames that took the fast path",
                                     static_cast<double>(*state.fast_frames)));
  }
  if (keeper.ServesNames()) AddNameCounts(state, &families);
  AddRuleCounters(instance, &families);
  if (desired.fabric) AddFabric(keeper, &families);
  return families;
}

}  // namespace strata::net
