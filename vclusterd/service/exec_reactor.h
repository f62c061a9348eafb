// The Exec call: gRPC's callback stream on one side, an ExecSession on the other. A callback
// stream, because only there a call can end while a read of the client's next message is
// outstanding.
#pragma once

#include <grpcpp/grpcpp.h>

#include "vclusterd/api/vcluster.grpc.pb.h"
#include "vclusterd/host/host_nodes.h"

namespace strata::vcluster {

struct ExecPlace {
  const HostNodes* nodes = nullptr;  // That have it.
  ExecTarget target;
};
// Looks the node of a call up, and whether its caller may use it.
using ExecResolver = std::function<Result<ExecPlace>(const std::string& node)>;

// Owns itself until the call is done.
grpc::ServerBidiReactor<v1::ExecRequest, v1::ExecEvent>* NewExecReactor(ExecResolver resolve);

}  // namespace strata::vcluster
