// ClassService: lists of users to share with (imaged/catalog/classes.h), for one caller.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>

#include "common/rpc/local_server.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

// `repository` must outlive the service.
std::unique_ptr<grpc::Service> MakeClassService(Repository* repository, const rpc::Caller& caller);

}  // namespace strata::imaged
