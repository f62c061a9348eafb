// EventService of events.proto for one caller.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>

#include "common/rpc/local_server.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

std::unique_ptr<grpc::Service> MakeEventService(Repository* repository, const rpc::Caller& caller);

}  // namespace strata::imaged
