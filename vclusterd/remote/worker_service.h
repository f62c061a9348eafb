// WorkerService (vclusterd/api/worker.proto): what masters ask of this host's nodes.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "common/result.h"
#include "vclusterd/host/host_nodes.h"
#include "vclusterd/remote/membership.h"

namespace strata::vcluster {

// Whose orders count: of the hosts that may be masters, the one who said the latest epoch.
// Thread-safe.
class Obedience {
 public:
  explicit Obedience(std::set<std::string> masters) : masters_(std::move(masters)) {}
  // kPermissionDenied: `host` is no master. kFailedPrecondition: there is a later one.
  Status Check(const std::string& host, uint64_t epoch);
  bool IsMaster(const std::string& host) const { return masters_.contains(host); }

 private:
  const std::set<std::string> masters_;
  std::mutex mutex_;  // Guards epoch_.
  uint64_t epoch_ = 0;
};

// All must outlive the service.
std::unique_ptr<grpc::Service> MakeWorkerService(HostNodes& nodes, Membership& membership,
                                                 Obedience& obedience);

}  // namespace strata::vcluster
