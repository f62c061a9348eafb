// NetService (net/api/net.proto) for one caller: converts, calls the keeper, converts back.
// kPermissionDenied for all but root.
#pragma once

#include <memory>

#include "common/rpc/local_server.h"
#include "net/keeper.h"
#include "net/service/network_events.h"

namespace strata::net {

// REQUIRES: `keeper` and `events` outlive the result. `source`: the file that the keeper follows.
std::unique_ptr<grpc::Service> MakeNetService(NetworkKeeper& keeper, NetworkEvents& events,
                                              std::string source, rpc::Caller caller);

}  // namespace strata::net
