// Why a node is where it is, or nowhere: what both stages found, and its text. Made on demand only.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "vclusterd/scheduler/admission.h"
#include "vclusterd/scheduler/quota.h"
#include "vclusterd/scheduler/ranking.h"

namespace strata::vcluster {

struct HostChoice {
  std::string host;
  Score score;
};

struct HostRefusal {
  std::string host;
  std::vector<Refusal> reasons;
};

struct Explanation {
  NodeKey key;
  std::string name;
  RankBy rank = RankBy::kPack;
  Amounts amounts;                   // What it counts as.
  std::vector<QuotaLine> quota;      // Of its Vcluster's request, where its owner has limits.
  std::vector<HostChoice> choices;   // Best first.
  std::vector<HostRefusal> refused;  // By name.
  std::string chosen;                // Empty: none.
  std::string stands_on;             // Where it was before the question; empty: nowhere.
};

// What both stages say of every host. Sets all but the quota and `stands_on`; `chosen` is the best.
Explanation Explain(const PlacementState& state, const Admission& admission);

// Why a placed node is where it is: what would be decided today if it were not there. kNotFound.
Result<Explanation> ExplainNode(const PlacementState& state, NodeKey key);

// Several lines, each ended; what `vcluster why` prints. At most `hosts_max` hosts of each list.
std::string ExplanationText(const Explanation& explanation, size_t hosts_max = 20);

// "spark/worker-1 needs 4 CPUs, 8.0 GiB: no host has room. The most room is on lab-2: …", with what
// can be done. For a node that no host admits.
Error NoHostError(const PlacementState& state, const Admission& admission);

}  // namespace strata::vcluster
