// A command that is one question to imaged (tools/cli/unary_call.h).
#pragma once

#include "imaged/api/imaged.grpc.pb.h"
#include "tools/cli/unary_call.h"

namespace strata::tools {

template <typename Stub, typename Request, typename Response>
Result<Response> Ask(Tool& tool,
                     grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                     const Request& request) {
  return AskDaemon(tool, Daemon::kImaged, method, request);
}

}  // namespace strata::tools
