// WorkerService (vclusterd/api/worker.proto): what masters ask of this host's nodes.
#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>

#include "vclusterd/host/host_nodes.h"
#include "vclusterd/remote/membership.h"
#include "vclusterd/remote/obedience.h"

namespace strata::vcluster {

// All must outlive the service.
std::unique_ptr<grpc::Service> MakeWorkerService(HostNodes& nodes, Membership& membership,
                                                 Obedience& obedience);
// WorkerImageService (vclusterd/api/worker_images.proto); as above.
std::unique_ptr<grpc::Service> MakeWorkerImageService(HostNodes& nodes, Membership& membership,
                                                      Obedience& obedience);

}  // namespace strata::vcluster
