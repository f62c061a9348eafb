// What becomes of a Vcluster's record when its definition changes. Pure, but for new machine-ids.
#pragma once

#include <cstdint>
#include <vector>

#include "vclusterd/definition/diff.h"
#include "vclusterd/master/orders.h"
#include "vclusterd/master/vcluster.h"

namespace strata::vcluster {

struct ReshapeOptions {
  // Nodes whose image changes are made anew, without what they wrote. Otherwise such a change is
  // refused.
  bool recreate = false;
  int64_t now_unix_s = 0;
  // Mean CPU use of nodes by index, in cores, for ScaleIn::kIdlest; where one is missing, the
  // newest go first.
  std::map<uint32_t, double> cpu_use;
};

// Of those that were measured.
std::map<uint32_t, double> CpuUseOf(const NodeStates& states);

// Changes `record`, which is of `before`, so that it is of `wanted`. Nodes that have to go are
// marked as leaving. kFailedPrecondition names what is refused and the remedy.
Status Reshape(const Vcluster& before, const Definition& wanted, const ReshapeOptions& options,
               master::v1::Vcluster* record);

// Takes nodes out that were leaving and are gone. True when there were some.
bool DropNodes(const std::vector<uint32_t>& gone, master::v1::Vcluster* record);

}  // namespace strata::vcluster
