// Placer: the scheduler's view of the master's records. Keeps the sums of PlacementState up as
// records change, and turns roles into what the scheduler asks for.
//
// Not thread-safe: the master holds its lock.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
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
  // It keeps its nodes and gets no more.
  void SetCondition(const std::string& name, HostCondition condition);

  // Places of nodes as the record says; of hosts that are not known too.
  void Sync(const Vcluster& vcluster);
  void Forget(uint32_t number);

  struct Placed {
    std::optional<Error> error;            // Then nothing of it was placed.
    std::map<uint32_t, std::string> host;  // By node.
  };
  // Hosts for the nodes that have none; all of a Vcluster or none. By number. They count as placed
  // once Sync says so.
  std::map<uint32_t, Placed> Place(const std::vector<const Vcluster*>& vclusters) const;

  // Why the node is where it is, or nowhere: text for people.
  Result<std::string> Why(const Vcluster& vcluster, uint32_t index) const;
  Result<std::vector<DrainStep>> DrainOf(const std::string& host) const;

 private:
  const PlacerOptions options_;
  PlacementState state_;
  std::map<std::string, host::v1::Capacity> capacities_;
  std::map<uint32_t, std::map<uint32_t, std::string>> placed_;  // Number, node, host.
};

}  // namespace strata::vcluster
