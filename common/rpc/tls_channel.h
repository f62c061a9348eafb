// gRPC channels to other hosts, with mutual TLS.
#pragma once

#include <grpcpp/channel.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "common/pki/certificate.h"
#include "common/result.h"
#include "common/rpc/tls_connection.h"

namespace strata::rpc {

// A dead or silent peer (a pulled cable, a stopped process) is noticed after both together.
constexpr std::chrono::seconds kKeepaliveEvery{10};
constexpr std::chrono::seconds kKeepaliveAnswer{5};
constexpr std::chrono::seconds kConnectTimeMax{5};
constexpr int kTlsMessageBytesMax = 4 << 20;

// Looks at the certificate of every connection (as for a revoked one); called on gRPC's threads.
using CertificateCheck = std::function<Status(const pki::Certificate&)>;

// Connects to `host_name` at `address`, within `time_max`. Whoever answers there has to prove that
// he is this host of the cluster of `identity`, now and at every reconnection. kUnavailable when
// nobody answers; kPermissionDenied says what is wrong with which certificate.
Result<std::shared_ptr<grpc::Channel>> ConnectTls(
    const std::string& address, const std::string& host_name, const TlsIdentity& identity,
    CertificateCheck check = {}, std::chrono::milliseconds time_max = kConnectTimeMax);

}  // namespace strata::rpc
