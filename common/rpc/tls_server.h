// A gRPC server for other hosts: TCP with mutual TLS. A client may show no certificate (it wants to
// join); one that it shows must be of our authority, or there is no connection. So every handler
// asks PeerOf first.
//
// Thread-safe. Handlers run on gRPC's threads.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>
#include <grpcpp/server_context.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "common/pki/certificate.h"
#include "common/result.h"

namespace strata::rpc {

struct TlsServerOptions {
  std::vector<std::string> addresses;  // "10.0.0.1:7443"; port 0 takes a free one.
  // One PEM file with the key, the certificate and the authority's (so that both halves change at
  // once), and the authority's alone. Read again as they change.
  std::string identity_path;
  std::string authority_path;
  std::chrono::seconds reload_every{10};
  std::chrono::milliseconds handshake_max{10'000};  // A silent client is dropped after that.
};

class TlsServer {
 public:
  // kUnavailable when an address cannot be listened on.
  static Result<std::unique_ptr<TlsServer>> Start(
      const TlsServerOptions& options, std::vector<std::unique_ptr<grpc::Service>> services);
  virtual ~TlsServer() = default;

  // Of each address, in their order.
  virtual const std::vector<int>& ports() const = 0;
  // Stops accepting, lets running calls end until `grace` is over, cancels the rest.
  virtual void Shutdown(std::chrono::milliseconds grace) = 0;
};

// The certificate of the host that calls; its chain and its validity were verified when it
// connected. kPermissionDenied when it shows none.
Result<pki::Certificate> PeerOf(const grpc::ServerContextBase& context);
// Where the call comes from, without the port: "ipv4:10.0.0.2".
std::string PeerAddress(const grpc::ServerContextBase& context);

// Has what gRPC itself logs written by our log, as debug lines: it calls every refused handshake an
// error, and strangers can cause as many as they like. Call it before any other thread is started.
void LogGrpcForDebugging();

}  // namespace strata::rpc
