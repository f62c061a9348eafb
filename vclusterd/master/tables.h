// The tables of the desired state (docs/formats.md, "Desired state").
#pragma once

#include <vector>

#include "common/records/record_store.h"

namespace strata::vcluster {

inline constexpr records::Table kVclustersTable{"vclusters"};  // By number, ten digits.
inline constexpr records::Table kHostsTable{"hosts"};          // By name.
inline constexpr records::Table kLeaderTable{"leader"};

// Records of the leader's table.
inline constexpr char kLeaderKey[] = "leader";      // Leader
inline constexpr char kBeatKey[] = "beat";          // Moved on as long as he leads.
inline constexpr char kCountersKey[] = "counters";  // Counters
inline constexpr char kSharedKey[] = "shared";      // Shared

inline std::vector<records::Table> DesiredTables() {
  return {kVclustersTable, kHostsTable, kLeaderTable};
}

}  // namespace strata::vcluster
