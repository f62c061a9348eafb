#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "vclusterd/scheduler/gang.h"
#include "vclusterd/scheduler/rebalance.h"

namespace strata::vcluster {
namespace {

// Nodes of a host, joined where one must be with another.
class Companions {
 public:
  explicit Companions(size_t count) : parent_(count) {
    for (size_t i = 0; i < count; ++i) parent_[i] = i;
  }
  size_t Find(size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  // The lower index leads.
  void Join(size_t a, size_t b) {
    a = Find(a);
    b = Find(b);
    parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<size_t> parent_;
};

// Groups of nodes that go together, the most important first.
std::vector<std::vector<NodeKey>> GroupsOn(const PlacementState& state, HostSlot slot) {
  std::vector<NodeKey> keys = state.host(slot).nodes;
  std::sort(keys.begin(), keys.end(), [&](NodeKey a, NodeKey b) {
    return std::tuple(-int64_t{state.FindNode(a)->demand->priority}, a) <
           std::tuple(-int64_t{state.FindNode(b)->demand->priority}, b);
  });
  std::unordered_map<AffinityTarget, std::vector<size_t>, AffinityTargetHash> by_target;
  for (size_t i = 0; i < keys.size(); ++i) {
    const NodeDemand& demand = *state.FindNode(keys[i])->demand;
    by_target[{demand.key.vcluster, ""}].push_back(i);
    if (!demand.role.empty()) by_target[{demand.key.vcluster, demand.role}].push_back(i);
  }
  Companions companions(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    const NodeDemand& demand = *state.FindNode(keys[i])->demand;
    for (const AffinityRule& rule : demand.rules) {
      if (!IsMustWith(rule)) continue;
      const auto found = by_target.find(TargetOf(rule, demand));
      if (found == by_target.end()) continue;
      for (const size_t other : found->second) companions.Join(i, other);
      found->second.resize(1);  // The others are with it from now on.
    }
  }
  std::map<size_t, std::vector<NodeKey>> groups;  // By the first of each.
  for (size_t i = 0; i < keys.size(); ++i) groups[companions.Find(i)].push_back(keys[i]);
  std::vector<std::vector<NodeKey>> ordered;
  for (auto& [first, group] : groups) ordered.push_back(std::move(group));
  return ordered;
}

// Moves the group in `scratch`, or leaves it.
void DrainGroup(PlacementState* scratch, const std::vector<NodeKey>& group,
                std::vector<DrainStep>* steps) {
  std::vector<NodeEntry> entries;
  Demands demands;
  for (const NodeKey key : group) {
    entries.push_back(scratch->Take(key));
    NodeDemand demand = *entries.back().demand;
    demand.load = entries.back().load;
    demands.push_back(std::make_shared<const NodeDemand>(std::move(demand)));
  }
  SortForPlacing(&demands);
  const std::optional<Error> error = Gang(scratch, demands).Run();
  for (const auto& demand : demands) {
    DrainStep step = {demand->key, demand->name, "", ""};
    if (error) {
      step.why = error->message();
    } else {
      step.to = scratch->host(scratch->FindNode(demand->key)->slot).offer.name;
    }
    steps->push_back(std::move(step));
  }
  if (!error) return;
  for (NodeEntry& entry : entries) {
    const NodeKey key = entry.demand->key;
    scratch->Insert(key, std::move(entry));
  }
}

}  // namespace

Result<std::vector<DrainStep>> ProposeDrain(const PlacementState& state, const std::string& host) {
  const std::optional<HostSlot> slot = state.FindHost(host);
  if (!slot) return Error(Code::kNotFound, "there is no host '" + host + "'");
  PlacementState scratch = state;
  scratch.SetCondition(*slot, HostCondition::kDraining);
  std::vector<DrainStep> steps;
  for (const auto& group : GroupsOn(scratch, *slot)) DrainGroup(&scratch, group, &steps);
  return steps;
}

}  // namespace strata::vcluster
