// The gRPC services of imaged for one caller (see common/rpc/local_server.h): thin translation
// between messages and Repository.
#pragma once

#include <memory>
#include <vector>

#include "common/rpc/local_server.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

// `repository` must outlive the services.
std::vector<std::unique_ptr<grpc::Service>> MakeServices(Repository* repository,
                                                         const rpc::Caller& caller);

}  // namespace strata::imaged
