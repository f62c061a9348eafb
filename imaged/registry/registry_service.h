// RegistryService: the registry's passwords and what pulls ask, for users of this host, on imaged's
// Unix socket.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>

#include "common/rpc/local_server.h"
#include "imaged/registry/token_book.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

// Both must outlive the service.
std::unique_ptr<grpc::Service> MakeRegistryService(Repository* repository, TokenBook* book,
                                                   const rpc::Caller& caller);

}  // namespace strata::imaged
