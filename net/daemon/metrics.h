// What vnetd tells Prometheus (docs/network.md lists the names).
#pragma once

#include "common/http/metrics_page.h"
#include "net/keeper.h"

namespace strata::net {

http::MetricFamilies MetricsOf(NetworkKeeper& keeper, const std::string& instance);

}  // namespace strata::net
