// The page of vclusterd's metrics (docs/observability.md): what its parts count, and how its master
// and its nodes stand when it is asked. Only the page of a host names nodes, with their Vclusters
// and owners: those that run there, kNamedNodesMax at most.
#pragma once

#include <optional>
#include <vector>

#include "common/http/metrics_page.h"
#include "vclusterd/host/host_nodes.h"
#include "vclusterd/host/usage_totals.h"
#include "vclusterd/master/master.h"

namespace strata::vcluster {

// Of what the desired state asks for and what hosts say.
http::MetricFamilies MetricsOf(Master& master);

// Nine series each.
inline constexpr size_t kNamedNodesMax = 500;

// What a host knows of itself and the nodes on it; absent: not measured yet.
struct HostFigures {
  std::vector<host::v1::PartStatus> parts;
  std::vector<NodeFigures> nodes;  // That run. Beyond kNamedNodesMax they are counted alone.
  std::optional<host::v1::HostLoad> load;
  std::optional<UsageTotals> totals;  // Of the whole host.
};
http::MetricFamilies MetricsOf(const HostFigures& figures);
http::MetricFamilies MetricsOf(HostNodes& nodes);

}  // namespace strata::vcluster
