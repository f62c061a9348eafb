#include "vclusterd/scheduler/place.h"

#include <algorithm>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#include "vclusterd/scheduler/checks.h"
#include "vclusterd/scheduler/gang.h"

namespace strata::vcluster {
namespace {

using Accounts = std::map<uint32_t, QuotaAccount>;

// Indexes of the Vclusters in the order in which they are served.
std::vector<size_t> ServingOrder(const std::vector<VclusterDemand>& vclusters) {
  std::vector<std::tuple<int64_t, uint32_t, size_t>> keys;
  for (size_t i = 0; i < vclusters.size(); ++i) {
    int64_t priority = vclusters[i].nodes.front().priority;
    for (const NodeDemand& node : vclusters[i].nodes) {
      priority = std::max<int64_t>(priority, node.priority);
    }
    keys.emplace_back(-priority, vclusters[i].number, i);
  }
  std::sort(keys.begin(), keys.end());
  std::vector<size_t> order;
  for (const auto& key : keys) order.push_back(std::get<2>(key));
  return order;
}

VclusterPlacement PlaceVcluster(PlacementState* state, const VclusterDemand& vcluster,
                                Accounts* accounts, bool explain) {
  VclusterPlacement placed;
  placed.number = vcluster.number;
  std::vector<QuotaLine> lines;
  const auto account = accounts->find(vcluster.nodes.front().owner_uid);
  if (account != accounts->end()) {
    lines = account->second.Lines(vcluster, state->parameters());
    const Status within = CheckQuotaLines(account->second.quota(), vcluster.name, lines);
    if (!within.ok()) placed.error = within.error();
  }
  Demands demands;
  for (const NodeDemand& node : vcluster.nodes) {
    demands.push_back(std::make_shared<const NodeDemand>(node));
  }
  SortForPlacing(&demands);
  if (placed.error) {
    if (explain) {  // What hosts would say to the first of them.
      placed.explanations.push_back(Explain(*state, Admission(*state, *demands[0])));
      placed.explanations[0].chosen.clear();
    }
  } else {
    Gang gang(state, demands, explain);
    placed.error = gang.Run();
    placed.explanations = std::move(gang.explanations());
    if (placed.error && vcluster.propose_preemption) {
      placed.preemption = ProposePreemption(*state, demands);
    }
  }
  for (Explanation& explanation : placed.explanations) explanation.quota = lines;
  if (placed.error) return placed;
  if (account != accounts->end()) account->second.Use(vcluster, state->parameters());
  for (const auto& demand : demands) {
    const HostSlot slot = state->FindNode(demand->key)->slot;
    placed.nodes.push_back({demand->key, state->host(slot).offer.name});
  }
  std::sort(placed.nodes.begin(), placed.nodes.end(),
            [](const NodePlacement& a, const NodePlacement& b) { return a.key < b.key; });
  return placed;
}

}  // namespace

Result<std::vector<VclusterPlacement>> Place(PlacementState* state, const PlacementRequest& request,
                                             bool explain) {
  RETURN_IF_ERROR(CheckRequest(request));
  size_t nodes = state->nodes_count();
  for (const VclusterDemand& vcluster : request.vclusters) {
    nodes += vcluster.nodes.size();
    for (const NodeDemand& node : vcluster.nodes) {
      if (state->FindNode(node.key) == nullptr) continue;
      return Error(Code::kAlreadyExists, "node " + node.name + " is placed already");
    }
  }
  if (nodes > kSchedulerNodesMax) {
    return Error(Code::kResourceExhausted,
                 "more than " + std::to_string(kSchedulerNodesMax) + " nodes");
  }
  Accounts accounts;
  for (const OwnerQuota& quota : request.quotas) accounts.emplace(quota.owner_uid, quota);
  std::vector<VclusterPlacement> answers(request.vclusters.size());
  for (const size_t i : ServingOrder(request.vclusters)) {
    answers[i] = PlaceVcluster(state, request.vclusters[i], &accounts, explain);
  }
  return answers;
}

}  // namespace strata::vcluster
