// A client's connection to a daemon of this host.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "common/result.h"

namespace strata::rpc {

// Connects within two seconds, or kUnavailable: "<daemon> does not answer at <path>; is it
// running?".
Result<std::shared_ptr<grpc::Channel>> ConnectLocal(const std::string& socket_path,
                                                    const std::string& daemon);

}  // namespace strata::rpc
