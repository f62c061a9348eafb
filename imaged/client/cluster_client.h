// What the host's own daemons (as root) ask of imaged about the cluster of hosts. Thread-safe.
// Errors are imaged's own; kUnavailable when it does not answer.
#pragma once

#include <memory>
#include <string>

#include "common/result.h"

namespace strata::imaged {

class ClusterClient {
 public:
  static Result<std::unique_ptr<ClusterClient>> Connect(const std::string& socket_path);
  virtual ~ClusterClient() = default;

  // With which one host may join within an hour. kFailedPrecondition: this host issues none.
  virtual Result<std::string> MakeToken() = 0;
  // The host is not trusted any more. Ok when there is none.
  virtual Status RemoveHost(const std::string& name) = 0;
};

}  // namespace strata::imaged
