// The commands that speak UserService (vclusterd/api/accounts.proto).
#pragma once

#include "tools/cli/unary_call.h"
#include "vclusterd/api/accounts.grpc.pb.h"

namespace strata::tools {

// Each adds its subcommands to `tool`, which keeps what they hold.
void AddUserCommands(Tool& tool);
void AddGroupCommands(Tool& tool);
void AddQuotaCommands(Tool& tool);
void AddTokenCommands(Tool& tool);
void AddCreditCommands(Tool& tool);
void AddAuditCommand(Tool& tool);

template <typename Request, typename Response>
Result<Response> Ask(Tool& tool,
                     grpc::Status (accounts::v1::UserService::Stub::*method)(grpc::ClientContext*,
                                                                             const Request&,
                                                                             Response*),
                     const Request& request) {
  return AskDaemon(tool, Daemon::kVclusterd, method, request);
}

}  // namespace strata::tools
