// HostImageService: what vclusterd asks of imaged. Every call of it is refused unless the caller is
// root.
#pragma once

#include <memory>

#include "common/rpc/local_server.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

std::unique_ptr<grpc::Service> MakeHostService(Repository* repository, const rpc::Caller& caller);

}  // namespace strata::imaged
