// What this host serves to other hosts: EnrolService (token instead of a certificate) and
// PeerService (imaged/api/peer.proto).
#pragma once

#include <grpcpp/impl/codegen/service_type.h>

#include <memory>
#include <vector>

#include "imaged/peers/cluster.h"
#include "imaged/peers/image_puller.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

// A caller that takes no bytes for this long is given up.
constexpr std::chrono::seconds kStreamStallMax{30};
// Streams of one host at a time; each holds a thread.
constexpr int kStreamsPerHostMax = 64;

// All must outlive the services.
std::vector<std::unique_ptr<grpc::Service>> MakePeerServices(Cluster* cluster,
                                                             Repository* repository,
                                                             ImagePuller* puller);

}  // namespace strata::imaged
