// The gRPC services of imaged for one caller (see common/rpc/local_server.h): thin translation
// between messages and Repository.
#pragma once

#include <memory>
#include <vector>

#include "common/rpc/local_server.h"
#include "imaged/repository/repository.h"
#include "imaged/service/layer_bringer.h"

namespace strata::imaged {

// `bringer`: null where every image that has a name is here. Both must outlive the services.
std::vector<std::unique_ptr<grpc::Service>> MakeServices(Repository* repository,
                                                         const rpc::Caller& caller,
                                                         LayerBringer* bringer = nullptr);

}  // namespace strata::imaged
