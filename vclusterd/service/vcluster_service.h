// VclusterService (vclusterd/api/vcluster.proto) for one caller: converts, calls Clusters, converts
// back.
#pragma once

#include <memory>

#include "common/rpc/local_server.h"
#include "vclusterd/master/clusters.h"

namespace strata::vcluster {

// `clusters` must outlive the service.
std::unique_ptr<grpc::Service> MakeVclusterService(Clusters& clusters, rpc::Caller caller);

}  // namespace strata::vcluster
