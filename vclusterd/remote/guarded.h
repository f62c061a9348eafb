// How every call between masters and workers begins: who calls is an enrolled host, and whatever
// is thrown by a library becomes a status.
#pragma once

#include <grpcpp/grpcpp.h>

#include <exception>
#include <string>

#include "common/log.h"
#include "common/rpc/status.h"
#include "vclusterd/remote/membership.h"

namespace strata::vcluster {

// Runs `handler` with the name of the enrolled host that calls.
template <typename Handler>
grpc::Status ForHost(Membership& membership, const grpc::ServerContextBase* context,
                     const char* call, Handler handler) {
  try {
    const auto host = membership.CallerOf(*context);
    if (!host.ok()) {
      LOG_WARNING(std::string(call) + ": " + host.error().message());
      return rpc::ToGrpc(host.error());
    }
    return rpc::ToGrpc(handler(*host));
  } catch (const std::exception& error) {
    LOG_ERROR(std::string(call) + ": exception: " + error.what());
    return {grpc::StatusCode::INTERNAL, "an unexpected error; see vclusterd's log"};
  }
}

}  // namespace strata::vcluster
