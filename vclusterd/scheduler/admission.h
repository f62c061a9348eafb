// Admission: the first of the two stages (DCSpark 4.4, preselection). Which hosts may take a node
// at all, and why the others may not.
//
// Made once per node: it marks the hosts that affinity is about, and then answers for each host in
// constant time. Valid while the state does not change. Not thread-safe.
#pragma once

#include <string>
#include <vector>

#include "vclusterd/scheduler/placement_state.h"

namespace strata::vcluster {

enum class RefusalKind {
  kCondition,  // Draining or lost.
  kExcluded,
  kLabel,
  kNodes,  // From here to kDisk: no room.
  kCpus,
  kMemory,
  kDisk,
  kReserved,  // A reservation that may lie anywhere would suffer.
  kWith,
  kApart,
  kTogether,  // Tried: then no host was left for another node of the same request.
};

struct Refusal {
  RefusalKind kind;
  std::string text;  // "needs 4 CPUs, 1.5 left of 8 (over-commit 1.0)"
  bool operator==(const Refusal&) const = default;
};

// All of them, "; " between.
std::string ReasonsText(const std::vector<Refusal>& refusals);

// Whether stopping other nodes could help.
bool IsRoom(RefusalKind kind);

class Admission {
 public:
  // `coming`: targets of nodes that are still to be placed with it. A rule that asks for one of
  // them, and for no node that is there, has to wait for it.
  Admission(const PlacementState& state, const NodeDemand& demand,
            const TargetCounts& coming = TargetCounts());

  bool Admits(HostSlot slot) const { return Check(slot, nullptr); }
  // Every reason; empty when it admits.
  std::vector<Refusal> Refusals(HostSlot slot) const;

  // What this node could have of the host, whatever it needs; may be below 0.
  Amounts RoomOn(HostSlot slot) const;
  const Amounts& amounts() const { return amounts_; }
  const NodeDemand& demand() const { return demand_; }

  // For the ranking.
  uint32_t OwnNodes(HostSlot slot) const { return marks_[slot].own_nodes; }  // Of its Vcluster.
  uint32_t SameRole(HostSlot slot) const { return marks_[slot].same_role; }
  // "Should" rules that are kept there, less those that are broken.
  int RuleBalance(HostSlot slot) const { return marks_[slot].balance; }
  bool Prefers(HostSlot slot) const { return preferred_ == slot; }

 private:
  struct Mark {
    uint32_t own_nodes = 0;
    uint32_t same_role = 0;
    uint32_t with_kept = 0;  // "Must be with" rules that are kept there.
    int balance = 0;
    bool apart = false;  // A "must be apart" is broken there, its own or another node's.
    bool excluded = false;
  };
  void MarkOwn();
  void MarkRule(size_t index, const TargetCounts& coming);
  void MarkRepelled(const AffinityTarget& target);
  // One implementation for both answers: stops at the first refusal unless they are collected.
  bool Check(HostSlot slot, std::vector<Refusal>* refusals) const;
  bool CheckRoom(HostSlot slot, std::vector<Refusal>* refusals) const;
  void ExplainWith(HostSlot slot, std::vector<Refusal>* refusals) const;
  void ExplainApart(HostSlot slot, std::vector<Refusal>* refusals) const;

  const PlacementState& state_;
  const NodeDemand& demand_;
  const Amounts amounts_;
  std::vector<Mark> marks_;  // By slot.
  uint32_t with_rules_ = 0;  // That do not wait.
  uint32_t waiting_ = 0;     // Rules that do, as bits.
  std::optional<HostSlot> preferred_;
};

}  // namespace strata::vcluster
