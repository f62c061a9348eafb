// RegistryTokenService: the registry's passwords, for users of this host, on imaged's Unix socket.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>

#include "common/rpc/local_server.h"
#include "imaged/registry/token_book.h"

namespace strata::imaged {

// `book` must outlive the service.
std::unique_ptr<grpc::Service> MakeRegistryTokenService(TokenBook* book, const rpc::Caller& caller);

}  // namespace strata::imaged
