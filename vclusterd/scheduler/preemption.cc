#include "vclusterd/scheduler/preemption.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "vclusterd/scheduler/gang.h"

namespace strata::vcluster {
namespace {

// Pairs are looked at one by one up to so many candidates on a host.
constexpr size_t kPairsOf = 200;
// Larger requests get no proposal: it would take seconds.
constexpr size_t kNodesMax = 256;

struct Candidate {
  NodeKey key;
  int32_t priority;
  Amounts amounts;
};

// What is missing on a host; at most 0 where nothing is.
struct Shortage {
  Amounts amounts;
  int64_t nodes = 0;
  bool CoveredBy(const Amounts& freed, size_t count) const {
    return amounts.FitsIn(freed) && nodes <= static_cast<int64_t>(count);
  }
};

// Nodes of one host whose room is enough.
struct Choice {
  HostSlot slot = 0;
  int32_t priority = 0;  // Of the most important of them.
  std::vector<NodeKey> keys;
};

// Lower priority first, then the large ones, then by key.
bool StopsSooner(const Candidate& a, const Candidate& b) {
  return std::tuple(a.priority, -a.amounts.memory_bytes, -a.amounts.milli_cpus, a.key) <
         std::tuple(b.priority, -b.amounts.memory_bytes, -b.amounts.milli_cpus, b.key);
}

// How much of what is short a candidate frees: 1 for each resource that it frees enough of.
double Usefulness(const Candidate& candidate, const Shortage& shortage) {
  const auto part = [](int64_t freed, int64_t wanted) {
    return wanted <= 0 ? 0.0
                       : std::min(1.0, static_cast<double>(freed) / static_cast<double>(wanted));
  };
  return part(candidate.amounts.milli_cpus, shortage.amounts.milli_cpus) +
         part(candidate.amounts.memory_bytes, shortage.amounts.memory_bytes) +
         part(candidate.amounts.disk_bytes, shortage.amounts.disk_bytes);
}

// Takes the most useful until they are enough, which is the fewest when one resource is short. Then
// gives back those that turn out not to be needed, the most important first.
std::vector<NodeKey> Greedy(std::vector<Candidate> candidates, const Shortage& shortage) {
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](const Candidate& a, const Candidate& b) {
                     return Usefulness(a, shortage) > Usefulness(b, shortage);
                   });
  std::vector<Candidate> taken;
  Amounts freed;
  for (const Candidate& candidate : candidates) {
    if (shortage.CoveredBy(freed, taken.size())) break;
    taken.push_back(candidate);
    freed += candidate.amounts;
  }
  std::sort(taken.begin(), taken.end(), StopsSooner);
  for (size_t i = taken.size(); i-- > 0;) {
    if (!shortage.CoveredBy(freed - taken[i].amounts, taken.size() - 1)) continue;
    freed -= taken[i].amounts;
    taken.erase(taken.begin() + static_cast<ptrdiff_t>(i));
  }
  std::vector<NodeKey> keys;
  for (const Candidate& candidate : taken) keys.push_back(candidate.key);
  return keys;
}

// The fewest candidates that cover the shortage, as far as pairs; more than two are chosen
// greedily. REQUIRES: all of them together do; sorted.
std::vector<NodeKey> FewestOf(const std::vector<Candidate>& candidates, const Shortage& shortage) {
  // Of sets of one size the least important one, then the one that frees the least.
  using Cost = std::tuple<int64_t, int64_t, int64_t>;
  std::vector<NodeKey> best;
  Cost best_cost;
  const auto offer = [&](const Amounts& freed, int64_t priorities, auto... keys) {
    if (!shortage.CoveredBy(freed, sizeof...(keys))) return;
    const Cost cost(priorities, freed.memory_bytes, freed.milli_cpus);
    if (!best.empty() && cost >= best_cost) return;
    best_cost = cost;
    best = {keys...};
  };
  for (const Candidate& one : candidates) offer(one.amounts, one.priority, one.key);
  if (!best.empty() || candidates.size() > kPairsOf) {
    return best.empty() ? Greedy(candidates, shortage) : best;
  }
  for (size_t i = 0; i < candidates.size(); ++i) {
    for (size_t j = i + 1; j < candidates.size(); ++j) {
      const Candidate& a = candidates[i];
      const Candidate& b = candidates[j];
      offer(a.amounts + b.amounts, int64_t{a.priority} + b.priority, a.key, b.key);
    }
  }
  return best.empty() ? Greedy(candidates, shortage) : best;
}

std::vector<Candidate> CandidatesOn(const PlacementState& state, const NodeDemand& demand,
                                    HostSlot slot) {
  std::vector<Candidate> candidates;
  for (const NodeKey key : state.host(slot).nodes) {
    const NodeEntry& entry = *state.FindNode(key);
    if (entry.demand->priority >= demand.priority) continue;
    if (key.vcluster == demand.key.vcluster) continue;
    candidates.push_back({key, entry.demand->priority, entry.amounts});
  }
  std::sort(candidates.begin(), candidates.end(), StopsSooner);
  return candidates;
}

// The victims of one host; no keys: stopping does not help there.
Choice ChooseOn(const PlacementState& state, const Admission& admission, HostSlot slot) {
  Choice choice;
  choice.slot = slot;
  for (const Refusal& refusal : admission.Refusals(slot)) {
    if (!IsRoom(refusal.kind)) return choice;
  }
  const FreeRoom free = state.host(slot).Free();
  const Shortage shortage = {admission.amounts() - admission.RoomOn(slot), 1 - free.nodes_left};
  const std::vector<Candidate> all = CandidatesOn(state, admission.demand(), slot);
  // The lowest priority up to which all together are enough; they are sorted by it.
  Amounts freed;
  for (size_t i = 0; i < all.size(); ++i) {
    freed += all[i].amounts;
    if (!shortage.CoveredBy(freed, i + 1)) continue;
    choice.priority = all[i].priority;
    const auto end = std::find_if(all.begin(), all.end(), [&](const Candidate& candidate) {
      return candidate.priority > choice.priority;
    });
    choice.keys = FewestOf({all.begin(), end}, shortage);
    break;
  }
  return choice;
}

// The host for `demand`, and what was taken off it to make room.
std::optional<HostSlot> MakeRoom(PlacementState* state, const NodeDemand& demand,
                                 const TargetCounts& coming, std::vector<NodeEntry>* taken) {
  std::vector<Choice> choices;
  {
    const Admission admission(*state, demand, coming);
    if (const auto best = BestHost(*state, admission)) return best;
    for (const HostSlot slot : state->order()) {
      Choice choice = ChooseOn(*state, admission, slot);
      if (!choice.keys.empty()) choices.push_back(std::move(choice));
    }
  }
  std::stable_sort(choices.begin(), choices.end(), [](const Choice& a, const Choice& b) {
    return std::tuple(a.priority, a.keys.size()) < std::tuple(b.priority, b.keys.size());
  });
  for (const Choice& choice : choices) {
    std::vector<NodeEntry> off;
    for (const NodeKey key : choice.keys) off.push_back(state->Take(key));
    // The sums may be enough and the host refuse all the same: what a victim used of a reservation
    // is kept for its holder again.
    if (Admission(*state, demand, coming).Admits(choice.slot)) {
      std::move(off.begin(), off.end(), std::back_inserter(*taken));
      return choice.slot;
    }
    for (NodeEntry& entry : off) {
      const NodeKey key = entry.demand->key;
      state->Insert(key, std::move(entry));
    }
  }
  return std::nullopt;
}

// Whether those who came leave the node where it was. What else is wrong with its host was so
// before.
bool MayStay(const PlacementState& state, const NodeEntry& entry) {
  const std::vector<Refusal> refusals = Admission(state, *entry.demand).Refusals(entry.slot);
  return std::none_of(refusals.begin(), refusals.end(), [](const Refusal& refusal) {
    return IsRoom(refusal.kind) || refusal.kind == RefusalKind::kReserved ||
           refusal.kind == RefusalKind::kApart;
  });
}

// Puts back who need not stop after all, the most important first.
void PutBackWhoMayStay(PlacementState* state, std::vector<NodeEntry>* taken) {
  std::sort(taken->begin(), taken->end(), [](const NodeEntry& a, const NodeEntry& b) {
    return std::tuple(-int64_t{a.demand->priority}, a.demand->key) <
           std::tuple(-int64_t{b.demand->priority}, b.demand->key);
  });
  std::vector<NodeEntry> stopped;
  for (NodeEntry& entry : *taken) {
    if (MayStay(*state, entry)) {
      const NodeKey key = entry.demand->key;
      state->Insert(key, std::move(entry));
    } else {
      stopped.push_back(std::move(entry));
    }
  }
  *taken = std::move(stopped);
}

}  // namespace

std::optional<PreemptionProposal> ProposePreemption(const PlacementState& state,
                                                    const Demands& demands) {
  if (demands.size() > kNodesMax) return std::nullopt;
  PlacementState scratch = state;
  std::vector<NodeEntry> taken;
  PlacingOrder order(scratch, demands);
  while (!order.done()) {
    const auto& demand = demands[order.Next()];
    const auto slot = MakeRoom(&scratch, *demand, order.coming(), &taken);
    if (!slot) return std::nullopt;
    scratch.Insert(demand, *slot);
  }
  PutBackWhoMayStay(&scratch, &taken);
  if (taken.empty()) return std::nullopt;
  for (const auto& demand : demands) scratch.Take(demand->key);
  if (Gang(&scratch, demands).Run()) return std::nullopt;  // It would not help.
  PreemptionProposal proposal;
  for (const NodeEntry& entry : taken) {
    proposal.victims.push_back({entry.demand->key, entry.demand->name,
                                state.host(entry.slot).offer.name, entry.demand->priority});
  }
  std::sort(proposal.victims.begin(), proposal.victims.end(),
            [](const Victim& a, const Victim& b) { return a.key < b.key; });
  return proposal;
}

}  // namespace strata::vcluster
