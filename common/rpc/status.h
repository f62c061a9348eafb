// The one place where our errors become gRPC statuses, and back.
#pragma once

#include <grpcpp/support/status.h>

#include "common/result.h"

namespace strata::rpc {

grpc::Status ToGrpc(const Error& error);
grpc::Status ToGrpc(const Status& status);
// REQUIRES: !status.ok().
Error FromGrpc(const grpc::Status& status);

}  // namespace strata::rpc
