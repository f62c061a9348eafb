// MoveService (vclusterd/api/moves.proto) for one caller: converts, calls Clusters, converts back.
#pragma once

#include <memory>

#include "common/rpc/local_server.h"
#include "vclusterd/service/vcluster_service.h"

namespace strata::vcluster {

std::unique_ptr<grpc::Service> MakeMoveService(ClustersSource clusters, rpc::Caller caller);

}  // namespace strata::vcluster
