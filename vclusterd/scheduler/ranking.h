// The second stage (DCSpark 4.4, assessment): the order of the hosts that may take a node.
//
// A score is a list of parts, compared one after the other; a later part counts where all earlier
// ones are equal, and the name of the host where all are. So no weight can be tuned wrong, and the
// part that decided can be shown.
#pragma once

#include <string>

#include "vclusterd/scheduler/admission.h"

namespace strata::vcluster {

struct Score {
  // For every node, in this order. Less is better, but for rule_balance and preferred.
  uint32_t memory_neighbours = 0;  // Memory-heavy nodes there, if the node is one (III.D).
  uint32_t pressed = 0;            // Resources of the host that are under pressure or used up.
  int rule_balance = 0;            // "Should" rules that are kept, less those that are broken.
  bool preferred = false;
  // kPack: own_nodes, like_neighbours, v. kLeastRequested: like_neighbours, rate.
  // kSpread: same_role, like_neighbours, rate.
  uint32_t own_nodes = 0;        // Nodes of its Vcluster there; more is better.
  uint32_t same_role = 0;        // Nodes of its Vcluster and role there.
  uint32_t like_neighbours = 0;  // CPU-heavy nodes if it is one, and I/O-heavy ones if it is one.
  // Eq. 3: min(Cr/Cw, Mr/Mw), how many such nodes still fit; more is better.
  double v = 0;
  // Eq. 2: (sum of c)/C + (sum of m)/M, with the node itself counted, before over-commit. Counting
  // it makes a large empty host better than a small one.
  double rate = 0;
  bool operator==(const Score&) const = default;
};

// REQUIRES: the admission is of this state, and admits the host.
Score Rate(const PlacementState& state, const Admission& admission, HostSlot slot);

// Whether `a` is better than `b` for a node that is ranked so.
bool Better(RankBy rank, const Score& a, const Score& b);

// "holds 2 nodes of its Vcluster; v 3.50": what counts for such a node, in the order in which it
// counts.
std::string ScoreText(RankBy rank, const Score& score);

// Resources of a host whose pressure or usage is high.
uint32_t PressedResources(const HostReport& report, const SchedulerParameters& parameters);

}  // namespace strata::vcluster
