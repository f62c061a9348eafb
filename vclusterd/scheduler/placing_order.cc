#include "vclusterd/scheduler/placing_order.h"

#include <algorithm>
#include <tuple>

namespace strata::vcluster {

void SortForPlacing(Demands* demands) {
  const auto order = [](const NodeDemand& node) {
    const bool anywhere = node.required_labels.empty();
    return std::tuple(node.rank, anywhere, -static_cast<int64_t>(node.request.memory_bytes),
                      -node.request.cpus, node.key);
  };
  std::sort(demands->begin(), demands->end(),
            [&](const auto& a, const auto& b) { return order(*a) < order(*b); });
}

bool IsMustWith(const AffinityRule& rule) {
  return rule.must && rule.kind == AffinityRule::Kind::kWith;
}

PlacingOrder::PlacingOrder(const PlacementState& state, const Demands& demands)
    : demands_(demands), waits_(demands.size(), 0) {
  for (const auto& demand : demands) ChangeTargets(&coming_, *demand, 0, 1);
  for (size_t i = 0; i < demands.size(); ++i) {
    left_.insert(left_.end(), i);
    for (const AffinityRule& rule : demands[i]->rules) {
      if (!IsMustWith(rule)) continue;
      AffinityTarget target = TargetOf(rule, *demands[i]);
      // One of its own kind is no one to wait for: they would all wait for each other.
      if (Matches(target, *demands[i]) || !state.present().Of(target).empty() ||
          coming_.Of(target).empty()) {
        continue;
      }
      waiters_[std::move(target)].push_back(i);
      ++waits_[i];
    }
    if (waits_[i] == 0) ready_.insert(ready_.end(), i);
  }
}

size_t PlacingOrder::Next() {
  // When all wait in a circle, one has to begin.
  const size_t next = ready_.empty() ? *left_.begin() : *ready_.begin();
  left_.erase(next);
  ready_.erase(next);
  const NodeDemand& demand = *demands_[next];
  ChangeTargets(&coming_, demand, 0, -1);
  Open({demand.key.vcluster, ""});
  if (!demand.role.empty()) Open({demand.key.vcluster, demand.role});
  return next;
}

void PlacingOrder::Open(const AffinityTarget& target) {
  const auto found = waiters_.find(target);
  if (found == waiters_.end()) return;
  for (const size_t waiter : found->second) {
    if (--waits_[waiter] == 0 && left_.contains(waiter)) ready_.insert(waiter);
  }
  waiters_.erase(found);
}

}  // namespace strata::vcluster
