// TargetCounts: how many nodes of a Vcluster and role are where, kept up as nodes come and go, so
// that affinity is decided without a look at the nodes. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace strata::vcluster {

// A place of a host in the arrays of a PlacementState.
using HostSlot = uint32_t;

struct AffinityTarget {
  uint32_t vcluster = 0;
  std::string role;  // Empty: any.
  bool operator==(const AffinityTarget&) const = default;
};

struct AffinityTargetHash {
  size_t operator()(const AffinityTarget& target) const {
    return std::hash<std::string>()(target.role) * 31 + std::hash<uint32_t>()(target.vcluster);
  }
};

class TargetCounts {
 public:
  // Sorted by slot, no zeros.
  using OnHosts = std::vector<std::pair<HostSlot, uint32_t>>;

  // REQUIRES: counts do not fall below 0.
  void Change(const AffinityTarget& target, HostSlot slot, int by);
  // Valid until the next change.
  const OnHosts& Of(const AffinityTarget& target) const;
  uint32_t At(const AffinityTarget& target, HostSlot slot) const;

 private:
  std::unordered_map<AffinityTarget, OnHosts, AffinityTargetHash> counts_;
};

}  // namespace strata::vcluster
