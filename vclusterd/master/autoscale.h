// What follows from what nodes use: how many a role should have, and whether a Vcluster is idle.
// Pure; time is given.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/result.h"
#include "vclusterd/definition/definition.h"
#include "vclusterd/master/orders.h"
#include "vclusterd/master/vcluster.h"

namespace strata::vcluster {

// Below this a node does nothing: its sshd and timers take less.
inline constexpr double kIdleCpusMax = 0.01;

// How many nodes a role needs by its rule, and why: "at 85 % of its CPUs".
struct Need {
  double nodes = 0;
  std::string why;
};

// By CPU, the number at which the same work would be at the target: from the mean use of the role's
// nodes that are ready, of what each may use (of one core where it has no limit). By a command,
// what it says, divided by what one node is for. nullopt when it was not measured yet; an error
// when the command says nothing.
std::optional<Result<Need>> NeedOf(const Vcluster& vcluster, const Role& role,
                                   const NodeStates& states);

// One role's growth and shrinking: at most one step each `every`; it grows at once when it is too
// small, and shrinks when it was too large for `shrink_after` without a break, by as much as was
// too much all of that time.
class RoleScaler {
 public:
  // The number of nodes that it should have now, when it has `count` and needs `need`.
  uint32_t Decide(const Autoscale& rule, uint32_t count, double need, int64_t now_ms);

 private:
  int64_t decided_ms_ = 0;
  std::optional<int64_t> too_large_since_ms_;
  uint32_t most_needed_ = 0;  // Since then.
};

// Since when nobody used a Vcluster.
class IdleWatch {
 public:
  // After every look at the states. Nodes that were not measured yet count as active.
  void Look(const NodeStates& states, int64_t now_ms);
  // For how long it was idle. 0 before the first look.
  int64_t IdleMs(int64_t now_ms) const;
  void Reset() { active_ms_.reset(); }

 private:
  std::optional<int64_t> active_ms_;
};

}  // namespace strata::vcluster
