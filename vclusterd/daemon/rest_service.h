// RestService: the REST interface as this daemon was told to serve it.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "common/result.h"
#include "vclusterd/daemon/settings.h"
#include "vclusterd/rest/rest_server.h"
#include "vclusterd/users/users.h"

namespace strata::vcluster {

class RestService {
 public:
  // Null when there is to be none. The sources as of rest::RestServer; `users` must outlive the
  // result. kInvalidArgument says which flags do not go together.
  static Result<std::unique_ptr<RestService>> Start(const Settings& settings,
                                                    rest::ClustersSource clusters,
                                                    rest::ClassesSource classes, Users& users);
  // As rest::RestServer's; what is destroyed later waits for operations that run.
  void Shutdown(std::chrono::milliseconds grace) { server_->Shutdown(grace); }

 private:
  RestService() = default;
  std::unique_ptr<OpenIdProvider> open_id_;
  std::unique_ptr<rest::RestServer> server_;  // Last: it uses the other.
};

}  // namespace strata::vcluster
