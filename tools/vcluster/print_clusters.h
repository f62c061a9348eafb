// Vclusters as tables.
#pragma once

#include <iosfwd>

#include "tools/cli/tool.h"
#include "vclusterd/api/vcluster.pb.h"

namespace strata::tools {

const char* NodeStateName(vcluster::v1::NodeState state);
// One line for each Vcluster.
void PrintClusterTable(const vcluster::v1::Clusters& clusters, std::ostream& out);
// One line for each node, then one for each problem.
void PrintNodeTable(const vcluster::v1::Clusters& clusters, std::ostream& out);
// As JSON with --json, else by nodes.
// What running nodes use, the busiest first.
void PrintUsageTable(const vcluster::v1::Clusters& clusters, std::ostream& out);
// What one node used, a line for each minute.
void PrintHistoryTable(const vcluster::v1::UsageHistory& history, std::ostream& out);
Status PrintClusters(Tool& tool, const vcluster::v1::Clusters& clusters);

}  // namespace strata::tools
