// UsageTotals: what a node, or a whole host, has used since it started. Two of them tell what was
// used in between. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "vclusterd/api/host.pb.h"

namespace strata::vcluster {

struct UsageTotals {
  double cpu_s = 0;
  uint64_t read_bytes = 0;  // Of block devices.
  uint64_t written_bytes = 0;
  uint64_t received_bytes = 0;  // Of the network.
  uint64_t sent_bytes = 0;
};

// What adds up. A counter that went back (a device is gone) counts as not moved.
// REQUIRES: seconds > 0.
host::v1::Usage UsageBetween(const UsageTotals& before, const UsageTotals& after, double seconds);

// A node, by the names that people know it by.
struct NodeFigures {
  std::string owner;
  std::string vcluster;
  std::string node;  // "0", "worker-1"
  UsageTotals totals;
  host::v1::Usage usage;
};

}  // namespace strata::vcluster
