// The Exec call: gRPC's callback stream on one side, an ExecSession on the other. A callback
// stream, because only there a call can end while a read of the client's next message is
// outstanding.
#pragma once

#include <grpcpp/grpcpp.h>

#include "vclusterd/api/vcluster.grpc.pb.h"
#include "vclusterd/service/clusters.h"

namespace strata::vcluster {

// Owns itself until the call is done.
grpc::ServerBidiReactor<v1::ExecRequest, v1::ExecEvent>* NewExecReactor(Clusters& clusters,
                                                                        uid_t caller);

}  // namespace strata::vcluster
