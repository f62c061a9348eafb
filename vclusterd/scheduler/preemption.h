// Which nodes of lower priority would have to stop so that others fit. A proposal: nothing is done.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vclusterd/scheduler/model.h"
#include "vclusterd/scheduler/placement_state.h"
#include "vclusterd/scheduler/placing_order.h"

namespace strata::vcluster {

struct Victim {
  NodeKey key;
  std::string name;
  std::string host;
  int32_t priority = 0;
  bool operator==(const Victim&) const = default;
};

struct PreemptionProposal {
  std::vector<Victim> victims;  // By key. None could stay beside the nodes they make room for.
};

// Nodes of `demands` that fit go where Place would put them; for each that does not, the host is
// taken where the most important victim is least important, then where the fewest nodes have to
// stop. A victim is of lower priority than the node it makes room for, and of another Vcluster.
// Nothing when stopping nodes does not help: labels and affinity are kept, and room for
// reservations that may lie anywhere is not gained. Nothing for more than 256 nodes
// either. Copies the state.
std::optional<PreemptionProposal> ProposePreemption(const PlacementState& state,
                                                    const Demands& demands);

}  // namespace strata::vcluster
