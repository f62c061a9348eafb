// What this host has for nodes.
#pragma once

#include "common/result.h"
#include "vclusterd/api/worker.pb.h"
#include "vclusterd/host/host_config.h"

namespace strata::vcluster {

Result<host::v1::Capacity> CapacityOf(const HostConfig& config);

}  // namespace strata::vcluster
