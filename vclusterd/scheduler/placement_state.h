// PlacementState: hosts, the nodes on them and what is kept for whom, with every sum that a
// decision needs kept up as things change. So a decision looks at hosts, never at all nodes.
//
// It is told facts and takes them as they are: a node may be added to a host that has no room for
// it. Decisions are made by place.h and rebalance.h. What it holds depends on what is in it now,
// not on the order in which it came: sums are whole numbers, ties go by name.
//
// Errors: kInvalidArgument for values that cannot be, kNotFound and kAlreadyExists for names,
// kResourceExhausted past the limits of model.h; nothing is changed then.
// Cost: a node coming or going takes about a microsecond; a host coming or going, and new
// reservations, look at all nodes when there are reservations. A copy shares the nodes' demands.
// Not thread-safe.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/result.h"
#include "vclusterd/scheduler/amounts.h"
#include "vclusterd/scheduler/model.h"
#include "vclusterd/scheduler/reservation_book.h"
#include "vclusterd/scheduler/target_counts.h"

namespace strata::vcluster {

// A host and the sums over its nodes.
struct HostTally {
  HostOffer offer;
  Amounts capacity;  // For nodes, before over-commit.
  Amounts limit;     // With it.
  Amounts requested;
  uint32_t cpu_heavy = 0;
  uint32_t memory_heavy = 0;
  uint32_t io_heavy = 0;
  std::vector<NodeKey> nodes;  // Sorted.

  FreeRoom Free() const;
};

struct NodeEntry {
  std::shared_ptr<const NodeDemand> demand;
  Amounts amounts;  // What it counts as.
  HostSlot slot = 0;
  LoadClass load;  // As measured last; demand->load was expected.
  NodeUsage usage;
  bool movable = true;
};

class PlacementState {
 public:
  static Result<PlacementState> Create(const SchedulerParameters& parameters);

  // Adds it, or takes its new values; nodes stay.
  Status PutHost(const HostOffer& host);
  Status UpdateReport(const std::string& host, const HostReport& report);
  // kFailedPrecondition while it has nodes.
  Status RemoveHost(const std::string& host);

  Status AddNode(const PlacedNode& node);
  // New figures of it.
  Status UpdateNode(NodeKey key, LoadClass load, const NodeUsage& usage, bool movable);
  Status RemoveNode(NodeKey key);
  // The node stands on another host now. The reports of both hosts are unsettled by it
  // (HostReport), and the node is not movable until UpdateNode says so.
  Status MoveNode(NodeKey key, const std::string& host);

  // All that hold now, instead of those before. Hosts that do not exist (yet) are passed over.
  Status SetReservations(std::vector<Reservation> reservations);

  // What it was told, in order of names and keys.
  std::vector<HostOffer> Hosts() const;
  std::vector<PlacedNode> Nodes() const;
  const std::vector<Reservation>& Reservations() const { return book_.reservations(); }
  size_t nodes_count() const { return nodes_.size(); }
  const SchedulerParameters& parameters() const { return parameters_; }

  // For decisions. Slots stay as they are while the host exists.
  const std::vector<HostSlot>& order() const { return order_; }  // By name.
  size_t slots() const { return hosts_.size(); }                 // One more than the largest.
  const HostTally& host(HostSlot slot) const { return *hosts_[slot]; }
  std::optional<HostSlot> FindHost(const std::string& name) const;
  const NodeEntry* FindNode(NodeKey key) const;  // Null: not there.
  const TargetCounts& present() const { return present_; }
  // Targets from which nodes on a host must be apart.
  const TargetCounts& repelled() const { return repelled_; }
  const ReservationBook& book() const { return book_; }

  // For decisions that were made. REQUIRES: checked, the key is free, the host admits it.
  void Insert(std::shared_ptr<const NodeDemand> demand, HostSlot slot);
  void Insert(NodeKey key, NodeEntry entry);
  // REQUIRES: it is there.
  NodeEntry Take(NodeKey key);
  void SetCondition(HostSlot slot, HostCondition condition);

 private:
  explicit PlacementState(const SchedulerParameters& parameters) : parameters_(parameters) {}
  void Count(const NodeEntry& entry, int sign);
  void RefreshBook(HostSlot slot);
  void RestartBook(std::vector<Reservation> reservations);
  HostSlot NewSlot(const std::string& name);

  SchedulerParameters parameters_;
  std::vector<std::optional<HostTally>> hosts_;  // By slot.
  std::map<std::string, HostSlot> names_;
  std::vector<HostSlot> order_;
  struct KeyHash {
    size_t operator()(NodeKey key) const {
      return std::hash<uint64_t>()(uint64_t{key.vcluster} << 32 | key.node);
    }
  };
  std::unordered_map<NodeKey, NodeEntry, KeyHash> nodes_;
  Amounts requested_;  // By all nodes.
  TargetCounts present_;
  TargetCounts repelled_;
  ReservationBook book_;
};

// Whom a rule of `demand` is about.
AffinityTarget TargetOf(const AffinityRule& rule, const NodeDemand& demand);
bool Matches(const AffinityTarget& target, const NodeDemand& demand);
// Counts a node at `slot` for every target that it matches.
void ChangeTargets(TargetCounts* counts, const NodeDemand& demand, HostSlot slot, int by);

}  // namespace strata::vcluster
