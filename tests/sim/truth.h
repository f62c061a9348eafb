// Truth: what really runs on all hosts, and what must never be (docs/simulation.md). It is told of
// every change, and keeps the first that must not be.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/records/record_store.h"
#include "vclusterd/api/host.pb.h"
#include "vclusterd/api/records.pb.h"
#include "vclusterd/master/placer.h"
#include "vclusterd/master/vcluster.h"

namespace strata::sim {

// A container on a host. It is there whatever the worker's process does.
struct Container {
  uint32_t incarnation = 0;
  bool frozen = false;
};

using NodeKey = std::pair<uint32_t, uint32_t>;  // Number of the Vcluster, index.

class Truth {
 public:
  // `owner_nodes_max`: the quota of every owner.
  Truth(vcluster::PlacerOptions placer, uint32_t owner_nodes_max)
      : placer_(placer), owner_nodes_max_(owner_nodes_max) {}

  void PutHost(const std::string& host, const host::v1::Capacity& capacity) {
    capacities_[host] = capacity;
  }

  // Of one host.
  void Started(const std::string& host, NodeKey key, uint32_t incarnation);
  void Frozen(const std::string& host, NodeKey key, bool frozen);
  void Ended(const std::string& host, NodeKey key);
  const std::map<NodeKey, std::map<std::string, Container>>& containers() const {
    return containers_;
  }

  // A commit that was made.
  void Made(const std::vector<records::RecordChange>& changes);
  const std::map<uint32_t, vcluster::VclusterPtr>& vclusters() const { return vclusters_; }

  void Fail(const std::string& what) {
    if (!failure_.has_value()) failure_ = what;
  }
  const std::optional<std::string>& failure() const { return failure_; }

 private:
  void CheckRunning(NodeKey key);
  void CheckRecord(const master::v1::Vcluster& before, const master::v1::Vcluster& now);
  // What its nodes take of their hosts and of their owner's quota, `times` so often.
  void Count(const vcluster::Vcluster& record, int times);
  void CheckCapacity(const std::string& host);
  void CheckQuota(uint32_t uid, int64_t before);

  const vcluster::PlacerOptions placer_;
  const uint32_t owner_nodes_max_;
  std::map<std::string, host::v1::Capacity> capacities_;
  std::map<NodeKey, std::map<std::string, Container>> containers_;  // By host.
  std::map<uint32_t, vcluster::VclusterPtr> vclusters_;
  struct Placed {
    int64_t milli_cpus = 0;
    int64_t memory_bytes = 0;
  };
  std::map<std::string, Placed> placed_;  // By host.
  std::map<uint32_t, int64_t> nodes_;     // By owner.
  uint64_t epoch_ = 0;
  uint32_t last_number_ = 0;
  std::optional<std::string> failure_;
};

}  // namespace strata::sim
