// VclusterService (vclusterd/api/vcluster.proto) for one caller: converts, calls Clusters, converts
// back.
#pragma once

#include <functional>
#include <memory>

#include "common/rpc/local_server.h"
#include "vclusterd/master/clusters.h"

namespace strata::vcluster {

// What a call works with; an error where this process has no master that leads.
using ClustersSource = std::function<Result<std::shared_ptr<Clusters>>()>;

std::unique_ptr<grpc::Service> MakeVclusterService(ClustersSource clusters, rpc::Caller caller);

}  // namespace strata::vcluster
