// How every call of another host begins. A service of PeerService's kind writes each handler as
//   return ForHost(cluster_, context, "stat object", [&](const std::string& host) -> Status {…});
#pragma once

#include <grpcpp/server_context.h>

#include <chrono>
#include <string>

#include "common/rpc/tls_server.h"
#include "imaged/peers/cluster.h"
#include "imaged/service/call.h"

namespace strata::imaged {

// Runs `handler` for an enrolled host whose certificate is neither revoked nor expired, and refuses
// everybody else (PERMISSION_DENIED).
template <typename Handler>
grpc::Status ForHost(Cluster* cluster, const grpc::ServerContext* context, const char* call,
                     Handler handler) {
  return Guarded(call, [&]() -> Status {
    ASSIGN_OR_RETURN(const pki::Certificate certificate, rpc::PeerOf(*context));
    const auto now = std::chrono::system_clock::now();
    RETURN_IF_ERROR(cluster->registry().Admit(certificate, now));
    cluster->registry().Seen(certificate.host_name(), now);
    return handler(certificate.host_name());
  });
}

}  // namespace strata::imaged
