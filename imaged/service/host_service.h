// HostImageService: what vclusterd asks of imaged. Every call of it is refused unless the caller is
// root.
#pragma once

#include <memory>

#include "common/rpc/local_server.h"
#include "imaged/repository/repository.h"
#include "imaged/service/layer_bringer.h"

namespace strata::imaged {

// `bringer` may be null.
std::unique_ptr<grpc::Service> MakeHostService(Repository* repository, const rpc::Caller& caller,
                                               LayerBringer* bringer);

}  // namespace strata::imaged
