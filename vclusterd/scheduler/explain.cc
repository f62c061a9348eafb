#include "vclusterd/scheduler/explain.h"

#include <algorithm>
#include <map>

namespace strata::vcluster {
namespace {

// How much of the node's largest want is missing on a host: 0 or less when it has the room.
double Shortage(const Amounts& wanted, const Amounts& room) {
  const auto part = [](int64_t want, int64_t have) {
    return want <= 0 ? 0.0 : static_cast<double>(want - have) / static_cast<double>(want);
  };
  return std::max({part(wanted.milli_cpus, room.milli_cpus),
                   part(wanted.memory_bytes, room.memory_bytes),
                   part(wanted.disk_bytes, room.disk_bytes)});
}

}  // namespace

Explanation Explain(const PlacementState& state, const Admission& admission) {
  const NodeDemand& demand = admission.demand();
  Explanation made;
  made.key = demand.key;
  made.name = demand.name;
  made.rank = demand.rank;
  made.amounts = admission.amounts();
  for (const HostSlot slot : state.order()) {
    const std::string& host = state.host(slot).offer.name;
    std::vector<Refusal> reasons = admission.Refusals(slot);
    if (reasons.empty()) {
      made.choices.push_back({host, Rate(state, admission, slot)});
    } else {
      made.refused.push_back({host, std::move(reasons)});
    }
  }
  // Stable: names decide between equals.
  std::stable_sort(made.choices.begin(), made.choices.end(),
                   [&](const HostChoice& a, const HostChoice& b) {
                     return Better(demand.rank, a.score, b.score);
                   });
  if (!made.choices.empty()) made.chosen = made.choices.front().host;
  return made;
}

Result<Explanation> ExplainNode(const PlacementState& state, NodeKey key) {
  if (state.FindNode(key) == nullptr) {
    return Error(Code::kNotFound, "there is no node " + std::to_string(key.vcluster) + "/" +
                                      std::to_string(key.node));
  }
  PlacementState without = state;
  const NodeEntry entry = without.Take(key);
  NodeDemand demand = *entry.demand;
  demand.load = entry.load;
  Explanation made = Explain(without, Admission(without, demand));
  made.stands_on = state.host(entry.slot).offer.name;
  return made;
}

Error NoHostError(const PlacementState& state, const Admission& admission) {
  const Amounts& wanted = admission.amounts();
  const bool disk = wanted.disk_bytes > 0;
  std::string text = admission.demand().name + " needs " + AmountsText(wanted, disk) + ": ";
  if (state.order().empty()) {
    return Error(Code::kResourceExhausted, text + "there are no hosts. Add one");
  }
  std::optional<HostSlot> nearest;  // Of those where only room is missing.
  double nearest_shortage = 0;
  std::string nearest_reasons;
  std::map<std::string, size_t> others;  // What the other hosts say, and how many.
  for (const HostSlot slot : state.order()) {
    const std::vector<Refusal> reasons = admission.Refusals(slot);
    const auto other = std::find_if(reasons.begin(), reasons.end(),
                                    [](const Refusal& r) { return !IsRoom(r.kind); });
    if (other != reasons.end()) {
      ++others[other->text];
      continue;
    }
    const double shortage = Shortage(wanted, admission.RoomOn(slot));
    if (nearest && shortage >= nearest_shortage) continue;
    nearest = slot;
    nearest_shortage = shortage;
    nearest_reasons = ReasonsText(reasons);
  }
  std::string excluded;
  constexpr size_t kReasonsShown = 3;
  size_t shown = 0;
  for (const auto& [reason, count] : others) {
    if (++shown > kReasonsShown) break;
    excluded += (excluded.empty() ? "" : "; ") + std::to_string(count) +
                (count == 1 ? " host: " : " hosts: ") + reason;
  }
  if (others.size() > kReasonsShown) excluded += "; …";
  if (!nearest) {
    return Error(Code::kResourceExhausted, text + "no host may take it (" + excluded +
                                               "). Change what it asks of its host, or add one");
  }
  text += "no host has room. The most room is on " + state.host(*nearest).offer.name + ": " +
          AmountsText(admission.RoomOn(*nearest), disk) + " (" + nearest_reasons + ")";
  if (!excluded.empty()) text += "; others: " + excluded;
  return Error(Code::kResourceExhausted, text + ". Ask for less, stop other nodes, or add a host");
}

}  // namespace strata::vcluster
