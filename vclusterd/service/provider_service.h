// ProviderService (vclusterd/api/providers.proto) for one caller.
#pragma once

#include <functional>
#include <memory>

#include "common/rpc/local_server.h"
#include "vclusterd/providers/rentals.h"
#include "vclusterd/service/vcluster_service.h"

namespace strata::vcluster {

// kUnavailable where this process has no master that leads, kFailedPrecondition without a file of
// providers.
using RentalsSource = std::function<Result<std::shared_ptr<Rentals>>()>;

std::unique_ptr<grpc::Service> MakeProviderService(ClustersSource clusters, RentalsSource rentals,
                                                   rpc::Caller caller);

}  // namespace strata::vcluster
