// Place: the decision where nodes go. Pure: no clock, no randomness; the same state and request
// give the same answer, whatever the order in which the state's contents or the request's Vclusters
// came.
//
// Vclusters are served by priority (of their most important node), then by number; each is placed
// as a whole or not at all, and what is placed counts for the next one. Within a Vcluster masters
// and drivers come first, then nodes to be packed, then those to be spread; of each the ones that
// need labels, then the large ones. First the quota of the owner is looked at, then the two stages
// of DCSpark 4.4 choose a host for each node (admission.h, ranking.h). Where a node finds no host
// because of earlier ones, these are tried elsewhere, within a bound; so a solution that exists may
// be missed, and is never wrong.
//
// Errors: a request that cannot be (model.h) is kInvalidArgument, and a node that is there already
// kAlreadyExists, for all; nothing is changed. A Vcluster that does not fit has an error of its
// own, kResourceExhausted, whose text says what is short and what to do.
//
// Preemption is proposed when asked for, never done (preemption.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "vclusterd/scheduler/explain.h"
#include "vclusterd/scheduler/model.h"
#include "vclusterd/scheduler/placement_state.h"
#include "vclusterd/scheduler/preemption.h"

namespace strata::vcluster {

struct NodePlacement {
  NodeKey key;
  std::string host;
  bool operator==(const NodePlacement&) const = default;
};

struct VclusterPlacement {
  uint32_t number = 0;
  std::optional<Error> error;        // Nothing of it was placed.
  std::vector<NodePlacement> nodes;  // By key.
  // When asked for: in the order of the decisions, up to the one that failed.
  std::vector<Explanation> explanations;
  std::optional<PreemptionProposal> preemption;
};

// What was placed is in `state` afterwards, as movable. To only look, pass a copy. With `explain`
// every decision is explained, which takes longer. Answers in the order of the request.
Result<std::vector<VclusterPlacement>> Place(PlacementState* state, const PlacementRequest& request,
                                             bool explain = false);

}  // namespace strata::vcluster
