// PlacingOrder: in which order nodes that belong together are placed. A node that must be with
// another one of them comes after it, as far as that is possible; otherwise large before small.
#pragma once

#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "vclusterd/scheduler/placement_state.h"

namespace strata::vcluster {

using Demands = std::vector<std::shared_ptr<const NodeDemand>>;

// By rank (masters and drivers first), then nodes that need labels, then the large ones, then by
// key.
void SortForPlacing(Demands* demands);

bool IsMustWith(const AffinityRule& rule);

class PlacingOrder {
 public:
  // REQUIRES: sorted; both outlive this.
  PlacingOrder(const PlacementState& state, const Demands& demands);

  bool done() const { return left_.empty(); }
  // Index of the one to place now. It no longer counts as coming. REQUIRES: not done.
  size_t Next();
  // Targets of those that are still to come (all at slot 0).
  const TargetCounts& coming() const { return coming_; }

 private:
  void Open(const AffinityTarget& target);

  const Demands& demands_;
  TargetCounts coming_;
  std::set<size_t> left_;
  std::set<size_t> ready_;     // Of these, the ones that wait for nobody.
  std::vector<size_t> waits_;  // By node: rules that wait.
  std::unordered_map<AffinityTarget, std::vector<size_t>, AffinityTargetHash> waiters_;
};

}  // namespace strata::vcluster
