#include "vclusterd/master/placer.h"

#include <algorithm>

#include "common/log.h"

namespace strata::vcluster {
namespace {

// What a node without a limit counts as: little, because most of them idle.
constexpr double kDefaultCpus = 0.05;
constexpr uint64_t kDefaultMemoryBytes = 16u << 20;

PlacementState NewState() {
  SchedulerParameters parameters;
  parameters.default_cpus = kDefaultCpus;
  parameters.default_memory_bytes = kDefaultMemoryBytes;
  auto state = PlacementState::Create(parameters);
  CHECK(state.ok());
  return std::move(*state);
}

RankBy RankOf(Rank rank) {
  switch (rank) {
    case Rank::kLeastRequested:
      return RankBy::kLeastRequested;
    case Rank::kPack:
      return RankBy::kPack;
    case Rank::kSpread:
      return RankBy::kSpread;
  }
  return RankBy::kPack;
}

NodeDemand DemandOf(const Vcluster& vcluster, const master::v1::Node& node) {
  const Role& role = *vcluster.RoleOf(node);
  NodeDemand demand;
  demand.key = {vcluster.record.number(), node.index()};
  demand.name = vcluster.record.name() + "/" + vcluster.NodeName(node);
  demand.owner_uid = vcluster.record.owner_uid();
  demand.role = node.role();
  demand.request = {role.limits.cpus, role.limits.memory_bytes,
                    node.has_disk_bytes() ? node.disk_bytes() : role.limits.disk_bytes.value_or(0)};
  demand.rank = RankOf(role.placement.rank);
  demand.priority = role.placement.priority;
  for (const auto& [kind, roles] : {std::pair(AffinityRule::Kind::kWith, &role.placement.near),
                                    std::pair(AffinityRule::Kind::kApart, &role.placement.apart)}) {
    for (const std::string& other : *roles) {
      AffinityRule rule;
      rule.kind = kind;
      rule.must = role.placement.strict;
      rule.role = other;
      demand.rules.push_back(std::move(rule));
    }
  }
  demand.required_labels = role.placement.require;
  return demand;
}

VclusterDemand DemandOf(const Vcluster& vcluster) {
  VclusterDemand demand;
  demand.number = vcluster.record.number();
  demand.name = vcluster.record.name();
  for (const master::v1::Node& node : vcluster.record.nodes()) {
    if (!node.host().empty() || node.leaving()) continue;
    demand.nodes.push_back(DemandOf(vcluster, node));
  }
  return demand;
}

HostOffer OfferOf(const std::string& name, const host::v1::Capacity& capacity,
                  HostCondition condition, const PlacerOptions& options) {
  HostOffer offer;
  offer.name = name;
  offer.condition = condition;
  offer.cpus = capacity.cpus();
  offer.memory_bytes = capacity.memory_bytes();
  offer.disk_bytes = capacity.disk_bytes();
  offer.overcommit_cpus = options.overcommit_cpus;
  offer.overcommit_memory = options.overcommit_memory;
  offer.labels.assign(capacity.labels().begin(), capacity.labels().end());
  return offer;
}

}  // namespace

Placer::Placer(PlacerOptions options) : options_(options), state_(NewState()) {}

void Placer::PutHost(const std::string& name, const host::v1::Capacity& capacity,
                     HostCondition condition) {
  capacities_[name] = capacity;
  const Status put = state_.PutHost(OfferOf(name, capacity, condition, options_));
  if (!put.ok()) LOG_WARNING("host " + name + " gets no nodes: " + put.error().message());
}

void Placer::SetCondition(const std::string& name, HostCondition condition) {
  if (const auto slot = state_.FindHost(name)) state_.SetCondition(*slot, condition);
}

void Placer::Forget(uint32_t number) {
  for (const auto& [index, host] : placed_[number]) state_.Take({number, index});
  placed_.erase(number);
}

void Placer::Sync(const Vcluster& vcluster) {
  const uint32_t number = vcluster.record.number();
  Forget(number);
  for (const master::v1::Node& node : vcluster.record.nodes()) {
    if (node.host().empty() || vcluster.RoleOf(node) == nullptr) continue;
    if (!state_.FindHost(node.host())) {
      // Nothing is known of it yet but that it has nodes.
      PutHost(node.host(), capacities_[node.host()], HostCondition::kLost);
    }
    PlacedNode placed;
    placed.demand = DemandOf(vcluster, node);
    placed.host = node.host();
    if (Status added = state_.AddNode(placed); added.ok()) {
      placed_[number][node.index()] = node.host();
    } else {
      LOG_WARNING("node " + placed.demand.name + ": " + added.error().message());
    }
  }
}

std::map<uint32_t, Placer::Placed> Placer::Place(
    const std::vector<const Vcluster*>& vclusters) const {
  std::map<uint32_t, Placed> result;
  PlacementState state = state_;
  PlacementRequest request;
  size_t nodes = 0;
  const auto place = [&] {
    const auto placed = vcluster::Place(&state, request);
    for (const VclusterDemand& demand : request.vclusters) {
      if (!placed.ok()) result[demand.number].error = placed.error();
    }
    for (const VclusterPlacement& placement :
         placed.ok() ? *placed : std::vector<VclusterPlacement>()) {
      Placed& out = result[placement.number];
      out.error = placement.error;
      for (const NodePlacement& node : placement.nodes) out.host[node.key.node] = node.host;
    }
    request.vclusters.clear();
    nodes = 0;
  };
  for (const Vcluster* vcluster : vclusters) {
    VclusterDemand demand = DemandOf(*vcluster);
    if (demand.nodes.empty()) continue;
    // As many as the scheduler takes at once.
    if (nodes + demand.nodes.size() > kRequestedNodesMax) place();
    nodes += demand.nodes.size();
    request.vclusters.push_back(std::move(demand));
  }
  if (!request.vclusters.empty()) place();
  return result;
}

Result<std::string> Placer::Why(const Vcluster& vcluster, uint32_t index) const {
  const NodeKey key{vcluster.record.number(), index};
  if (state_.FindNode(key) != nullptr) {
    ASSIGN_OR_RETURN(const Explanation explanation, ExplainNode(state_, key));
    return ExplanationText(explanation);
  }
  PlacementRequest request;
  request.vclusters.push_back(DemandOf(vcluster));
  PlacementState state = state_;
  ASSIGN_OR_RETURN(const auto placed, vcluster::Place(&state, request, /*explain=*/true));
  std::string text;
  for (const VclusterPlacement& placement : placed) {
    for (const Explanation& explanation : placement.explanations) {
      if (explanation.key == key) text += ExplanationText(explanation);
    }
    if (placement.error.has_value()) text += placement.error->message() + "\n";
  }
  return text;
}

Result<std::vector<DrainStep>> Placer::DrainOf(const std::string& host) const {
  return ProposeDrain(state_, host);
}

}  // namespace strata::vcluster
