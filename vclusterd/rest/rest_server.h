// RestServer: the whole REST interface at an address of this host: its server, its routes, its
// operations and its events.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <memory>
#include <shared_mutex>
#include <string>

#include "common/http/renewed_server.h"
#include "vclusterd/rest/cluster_watch.h"
#include "vclusterd/rest/rest_api.h"

namespace strata::vcluster::rest {

struct RestServerOptions {
  std::string address;  // "10.0.0.1:7480"
  // PEM. Empty: plain HTTP, which only loopback addresses may serve.
  http::CertificateFiles certificate;
  bool registration = false;
  RateLimits rates;
  OperationLimits operations;
};

class RestServer {
 public:
  // All must outlive the result; `open_id` may be null. kInvalidArgument: the address, or no
  // certificate for one that is not loopback; kUnavailable: it cannot be listened on.
  static Result<std::unique_ptr<RestServer>> Start(RestServerOptions options,
                                                   ClustersSource clusters, ClassesSource classes,
                                                   Users& users, OpenIdProvider* open_id);
  // As Shutdown, at once, and waits for operations that run: those that wait for the master end
  // when it ends waits (Master::EndWaits).
  ~RestServer();

  int port() const { return server_->port(); }
  bool tls() const { return services_.options.tls; }
  // Operations are cancelled, streams end, other requests have `grace`. No source is called
  // any more when it returns.
  void Shutdown(std::chrono::milliseconds grace);

 private:
  RestServer(RestServerOptions options, ClustersSource clusters, ClassesSource classes,
             Users& users, OpenIdProvider* open_id);

  // `source` as long as this is not shut down.
  template <typename T>
  Source<T> Guarded(Source<T> source);

  const RouteTable table_;
  std::shared_mutex open_mutex_;  // Guards open_; held while the source is called.
  bool open_ = true;
  EventFeed events_;
  Services services_;  // Before operations_, which use it until they have ended.
  OperationBook operations_;
  std::unique_ptr<ClusterWatch> watch_;
  std::unique_ptr<RestApi> api_;
  std::unique_ptr<http::RenewedServer> server_;  // Last: it calls the others.
};

}  // namespace strata::vcluster::rest
