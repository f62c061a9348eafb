// The page of vclusterd's metrics (docs/observability.md): what its parts count, and how its master
// and its nodes stand when it is asked. No metric names a user, a Vcluster or a node.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/http/metrics_page.h"
#include "vclusterd/host/host_nodes.h"
#include "vclusterd/master/master.h"

namespace strata::vcluster {

// Of what the desired state asks for and what hosts say.
http::MetricFamilies MetricsOf(Master& master);
// Of this host and the nodes on it.
http::MetricFamilies MetricsOf(HostNodes& nodes);

}  // namespace strata::vcluster
