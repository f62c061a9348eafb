// Placer: the scheduler's view of the master's records. Keeps the sums of PlacementState up as
// records change, and turns roles into what the scheduler asks for.
//
// Not thread-safe: the master holds its lock.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/result.h"
#include "vclusterd/api/worker.pb.h"
#include "vclusterd/master/vcluster.h"
#include "vclusterd/scheduler/place.h"
#include "vclusterd/scheduler/rebalance.h"

namespace strata::vcluster {

struct PlacerOptions {
  // How much of a host's CPUs and memory may be promised. Nodes seldom use what they may; memory
  // that they really use beyond what is there costs them a node each, so less of it.
  double overcommit_cpus = 16;
  double overcommit_memory = 2;
};

class Placer {
 public:
  explicit Placer(PlacerOptions options);

  // A host as it is now; nodes stay on it.
  void PutHost(const std::string& name, const host::v1::Capacity& capacity,
               HostCondition condition);
  // It will not come back. It stays known as long as it has nodes.
  void RemoveHost(const std::string& name);
  // It keeps its nodes and gets no more.
  void SetCondition(const std::string& name, HostCondition condition);

  // Places of nodes as the record says; of hosts that are not known too.
  void Sync(const Vcluster& vcluster);
  void Forget(uint32_t number);

  // What a node uses where it is, as its host says; its class of load follows from it.
  void Measure(NodeKey key, const host::v1::Usage& usage);
  // What hosts are like: as they say (`loads`, by name), and where they say nothing, as their nodes
  // are together. `unsettled`: hosts that a node has left or come to since they were measured.
  void ReportHosts(const std::map<std::string, host::v1::HostLoad>& loads,
                   const std::set<std::string>& unsettled);

  // All that hold now, instead of those before.
  Status SetReservations(std::vector<Reservation> reservations) {
    return state_.SetReservations(std::move(reservations));
  }

  struct Placed {
    std::optional<Error> error;            // Then nothing of it was placed.
    std::map<uint32_t, std::string> host;  // By node.
  };
  // Hosts for the nodes that have none; all of a Vcluster or none. By number. They count as placed
  // once Sync says so.
  std::map<uint32_t, Placed> Place(const std::vector<const Vcluster*>& vclusters) const;

  // What its nodes without a place ask for.
  VclusterDemand Unplaced(const Vcluster& vcluster) const;
  const PlacementState& state() const { return state_; }
  const PlacerOptions& options() const { return options_; }

  // Which nodes of lower priority (than its own; or below that one) would have to stop so that
  // those of it that have no place get one. kFailedPrecondition: it has them all, or room without
  // that. kResourceExhausted: nothing of the kind would help, and why it has no room.
  Result<std::vector<Victim>> VictimsFor(const Vcluster& vcluster,
                                         std::optional<int32_t> below) const;
  // A node that was stopped to make room is to run again. It has its room in `state` then.
  // kResourceExhausted: its host has none.
  static Status CheckReturn(const Vcluster& vcluster, uint32_t index, PlacementState* state);

  // Why the node is where it is, or nowhere: text for people.
  Result<std::string> Why(const Vcluster& vcluster, uint32_t index) const;
  // A target for every node that is placed on the host, or why none. `staying`: nodes that will not
  // move, whatever is proposed; those that must be with one of them do not either.
  Result<std::vector<DrainStep>> DrainOf(const std::string& host,
                                         const std::map<NodeKey, std::string>& staying) const;
  Result<std::vector<Move>> Moves() const { return ProposeMoves(state_, RebalanceLimits()); }

 private:
  struct Measured {
    std::string host;
    LoadClass load;
    NodeUsage usage;
  };
  void Unplace(uint32_t number);
  void Add(const PlacedNode& node);

  const PlacerOptions options_;
  PlacementState state_;
  std::map<std::string, host::v1::Capacity> capacities_;
  std::map<uint32_t, std::map<uint32_t, std::string>> placed_;  // Number, node, host.
  std::map<NodeKey, Measured> measured_;
};

}  // namespace strata::vcluster
