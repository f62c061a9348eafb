// MetricsServer: answers GET /metrics over HTTP for Prometheus (docs/observability.md): what the
// parts of imaged count (common/metrics.h), and how the repository stands when it is asked.
//
// There is no TLS and nobody is asked who he is: listen on the loopback, or on a network of the
// administrators.
#pragma once

#include <memory>
#include <string>

#include "common/http/server.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

class MetricsServer {
 public:
  // `repository` must outlive this. Errors are http::Server's.
  static Result<std::unique_ptr<MetricsServer>> Start(const std::string& address,
                                                      Repository* repository);
  ~MetricsServer();
  int port() const { return server_->port(); }

 private:
  class Handler;
  MetricsServer() = default;

  std::unique_ptr<Handler> handler_;
  std::unique_ptr<http::Server> server_;
};

}  // namespace strata::imaged
