// UserService (vclusterd/api/accounts.proto) for one caller: gRPC on one side, UserCalls on the
// other. Whoever has the records of the users may serve it, leader or not.
#pragma once

#include <memory>

#include "common/rpc/local_server.h"
#include "vclusterd/service/user_calls.h"

namespace strata::vcluster {

std::unique_ptr<grpc::Service> MakeUserService(UserCallsContext context, rpc::Caller caller);

}  // namespace strata::vcluster
