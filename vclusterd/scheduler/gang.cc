#include "vclusterd/scheduler/gang.h"

#include <algorithm>
#include <utility>

namespace strata::vcluster {
namespace {

bool Contains(const std::vector<HostSlot>& slots, HostSlot slot) {
  return std::find(slots.begin(), slots.end(), slot) != slots.end();
}

}  // namespace

std::optional<HostSlot> BestHost(const PlacementState& state, const Admission& admission,
                                 const std::vector<HostSlot>& banned) {
  std::optional<HostSlot> best;
  Score best_score;
  for (const HostSlot slot : state.order()) {
    if (!admission.Admits(slot) || Contains(banned, slot)) continue;
    const Score score = Rate(state, admission, slot);
    if (best && !Better(admission.demand().rank, score, best_score)) continue;
    best = slot;
    best_score = score;
  }
  return best;
}

std::optional<Error> Gang::Run() {
  banned_.assign(demands_.size(), {});
  // Each attempt forbids one host to one node; the bound keeps a hopeless request cheap.
  tries_left_ = 64 + 4 * demands_.size();
  std::optional<Failure> failure = Attempt();
  if (!failure) return std::nullopt;
  first_attempt_ = false;
  const std::optional<Error> first_error = std::move(failure->error);
  std::vector<Explanation> first_explanations = std::move(explanations_);
  while (tries_left_ > 0 && BanOneInTheWay(failure->node)) {
    explanations_.clear();
    failure = Attempt();
    if (!failure) return std::nullopt;
  }
  TakeBack();
  explanations_ = std::move(first_explanations);
  return first_error;
}

std::optional<Gang::Failure> Gang::Attempt() {
  PlacingOrder order(*state_, demands_);
  while (!order.done()) {
    if (tries_left_ > 0) --tries_left_;
    const size_t node = order.Next();
    if (auto failure = PlaceOne(node, order.coming())) return failure;
  }
  if (const std::optional<size_t> broken = BrokenRule()) {
    return Failure{*broken,
                   Error(Code::kResourceExhausted,
                         demands_[*broken]->name +
                             " cannot be with the nodes that it must be with: no host was found "
                             "for all of them. Ask for less, or drop a rule")};
  }
  return std::nullopt;
}

std::optional<Gang::Failure> Gang::PlaceOne(size_t node, const TargetCounts& coming) {
  const Admission admission(*state_, *demands_[node], coming);
  const std::optional<HostSlot> best = BestHost(*state_, admission, banned_[node]);
  if (explain_) AddExplanation(node, admission, best);
  if (!best && !first_attempt_) return Failure{node, std::nullopt};
  if (!best) return Failure{node, NoHostError(*state_, admission)};
  state_->Insert(demands_[node], *best);
  placed_.push_back({node, *best});
  return std::nullopt;
}

void Gang::AddExplanation(size_t node, const Admission& admission, std::optional<HostSlot> best) {
  Explanation made = Explain(*state_, admission);
  made.chosen = best ? state_->host(*best).offer.name : "";
  for (const HostSlot slot : banned_[node]) {
    const std::string& host = state_->host(slot).offer.name;
    if (std::erase_if(made.choices, [&](const HostChoice& c) { return c.host == host; }) == 0) {
      continue;  // It is refused already.
    }
    made.refused.push_back(
        {host, {{RefusalKind::kTogether, "leaves no host for another node of the request"}}});
  }
  std::sort(made.refused.begin(), made.refused.end(),
            [](const HostRefusal& a, const HostRefusal& b) { return a.host < b.host; });
  explanations_.push_back(std::move(made));
}

std::optional<size_t> Gang::BrokenRule() const {
  for (const Placed& placed : placed_) {
    const NodeDemand& demand = *demands_[placed.node];
    for (const AffinityRule& rule : demand.rules) {
      if (!IsMustWith(rule)) continue;
      const AffinityTarget target = TargetOf(rule, demand);
      const uint32_t self = Matches(target, demand) ? 1 : 0;
      if (state_->present().At(target, placed.slot) > self) continue;
      // The only one of its kind has nobody to be with.
      if (self == 1 && state_->present().Of(target).size() == 1) continue;
      return placed.node;
    }
  }
  return std::nullopt;
}

void Gang::TakeBack() {
  for (const Placed& placed : placed_) state_->Take(demands_[placed.node]->key);
  placed_.clear();
}

std::vector<HostSlot> Gang::HostsWanted(size_t failed, const std::vector<Placed>& attempt) const {
  std::vector<HostSlot> wanted;
  const NodeDemand& demand = *demands_[failed];
  for (const AffinityRule& rule : demand.rules) {
    const AffinityTarget target = TargetOf(rule, demand);
    if (!IsMustWith(rule) || !state_->present().Of(target).empty()) continue;
    for (const Placed& placed : attempt) {
      if (Matches(target, *demands_[placed.node])) wanted.push_back(placed.slot);
    }
  }
  if (!wanted.empty()) return wanted;  // Where those are that it must be with.
  TargetCounts others;
  for (size_t i = 0; i < demands_.size(); ++i) {
    if (i != failed) ChangeTargets(&others, *demands_[i], 0, 1);
  }
  const Admission alone(*state_, demand, others);
  for (const HostSlot slot : state_->order()) {
    if (alone.Admits(slot)) wanted.push_back(slot);
  }
  return wanted;
}

bool Gang::BanOneInTheWay(size_t failed) {
  const std::vector<Placed> attempt = placed_;
  TakeBack();
  const auto itself = std::find_if(attempt.begin(), attempt.end(),
                                   [&](const Placed& placed) { return placed.node == failed; });
  if (itself != attempt.end()) {  // It found a host, but a rule of it is broken.
    banned_[failed].push_back(itself->slot);
    return true;
  }
  const std::vector<HostSlot> wanted = HostsWanted(failed, attempt);
  for (auto placed = attempt.rbegin(); placed != attempt.rend(); ++placed) {
    if (!Contains(wanted, placed->slot)) continue;
    banned_[placed->node].push_back(placed->slot);
    return true;
  }
  return false;
}

}  // namespace strata::vcluster
