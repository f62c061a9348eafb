// ClusterService: membership, for root of this host, on imaged's Unix socket. Every call is refused
// to other callers.
#pragma once

#include <memory>

#include "common/rpc/local_server.h"
#include "imaged/peers/cluster.h"
#include "imaged/peers/peer_listener.h"

namespace strata::imaged {

// Both must outlive the service.
std::unique_ptr<grpc::Service> MakeClusterService(Cluster* cluster, PeerListener* listener,
                                                  const rpc::Caller& caller);

}  // namespace strata::imaged
