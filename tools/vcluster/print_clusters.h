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
// What running nodes use, the busiest first.
void PrintUsageTable(const vcluster::v1::Clusters& clusters, std::ostream& out);
// What hosts use as a whole, likewise; of those that are not heard nothing is known.
void PrintHostUsageTable(const vcluster::v1::Hosts& hosts, std::ostream& out);
// What one node or host used, a line for each minute.
void PrintHistoryTable(const vcluster::v1::UsageHistory& history, std::ostream& out);
// As JSON with --json, else by nodes.
Status PrintClusters(Tool& tool, const vcluster::v1::Clusters& clusters);

}  // namespace strata::tools
