// Gang: nodes that are placed together or not at all.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "common/result.h"
#include "vclusterd/scheduler/admission.h"
#include "vclusterd/scheduler/explain.h"
#include "vclusterd/scheduler/placement_state.h"
#include "vclusterd/scheduler/placing_order.h"

namespace strata::vcluster {

// The best host that admits the node and is none of `banned`.
std::optional<HostSlot> BestHost(const PlacementState& state, const Admission& admission,
                                 const std::vector<HostSlot>& banned = {});

class Gang {
 public:
  // REQUIRES: sorted (SortForPlacing), checked, none of them in the state; both outlive this.
  Gang(PlacementState* state, const Demands& demands, bool explain = false)
      : state_(state), demands_(demands), explain_(explain) {}

  // All are in the state afterwards; or none is, and the error of the first attempt is returned.
  std::optional<Error> Run();

  // Of the attempt that counts: the one that went well, or else the first.
  std::vector<Explanation>& explanations() { return explanations_; }

 private:
  struct Failure {
    size_t node;                 // Index in demands_.
    std::optional<Error> error;  // Of the first attempt.
  };
  struct Placed {
    size_t node;
    HostSlot slot;
  };
  std::optional<Failure> Attempt();
  std::optional<Failure> PlaceOne(size_t node, const TargetCounts& coming);
  void AddExplanation(size_t node, const Admission& admission, std::optional<HostSlot> best);
  // A node with a rule that waited for others of the gang, which then went elsewhere.
  std::optional<size_t> BrokenRule() const;
  void TakeBack();
  // After a failed attempt: keeps one of its nodes from the host where it was in the way of
  // `failed`. False when none was.
  bool BanOneInTheWay(size_t failed);
  std::vector<HostSlot> HostsWanted(size_t failed, const std::vector<Placed>& attempt) const;

  PlacementState* state_;
  const Demands& demands_;
  const bool explain_;
  std::vector<std::vector<HostSlot>> banned_;  // By node.
  std::vector<Placed> placed_;                 // In order.
  std::vector<Explanation> explanations_;
  size_t tries_left_ = 0;
  bool first_attempt_ = true;
};

}  // namespace strata::vcluster
