// A command that is one question to a tool's daemon and its answer, as JSON or for people.
#pragma once

#include <grpcpp/support/status.h>

#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/json.h"
#include "tools/cli/tool.h"

namespace strata::tools {

// `method` is a call of a service's stub, as &imaged::v1::ImageService::Stub::Show.
template <typename Stub, typename Request, typename Response>
Result<Response> AskDaemon(Tool& tool, Daemon daemon,
                           grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                        Response*),
                           const Request& request) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  Response response;
  Stub stub(channel);
  const grpc::Status status = (stub.*method)(call.context(), request, &response);
  if (!status.ok()) return CallError(status, daemon);
  return response;
}

// Prints `response` as JSON if that was asked for, or lets `print` do it.
template <typename Response, typename Print>
Result<int> Show(Tool& tool, const Response& response, const Print& print) {
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(response, tool.console().out));
  } else {
    print(response);
  }
  return kExitOk;
}

}  // namespace strata::tools
