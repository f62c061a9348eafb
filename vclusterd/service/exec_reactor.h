// The Exec call: gRPC's callback stream on one side, an ExecSession on the other. A callback
// stream, because only there a call can end while a read of the client's next message is
// outstanding.
#pragma once

#include <grpcpp/grpcpp.h>

#include "vclusterd/api/vcluster.grpc.pb.h"
#include "vclusterd/host/exec_session.h"

namespace strata::vcluster {

// Starts the command of a call in the node that its start names, if its caller may.
using ExecStarter = std::function<Result<std::unique_ptr<RunningCommand>>(
    const std::string& node, const ExecParameters& parameters, TerminalSize terminal,
    ExecListener& listener)>;

// Owns itself until the call is done.
grpc::ServerBidiReactor<v1::ExecRequest, v1::ExecEvent>* NewExecReactor(ExecStarter start);

}  // namespace strata::vcluster
