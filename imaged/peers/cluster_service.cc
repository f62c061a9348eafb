#include "imaged/peers/cluster_service.h"

#include "imaged/api/peer.grpc.pb.h"
#include "imaged/service/call.h"

namespace strata::imaged {
namespace {

pki::Time Now() { return std::chrono::system_clock::now(); }

class ClusterServiceImpl final : public v1::ClusterService::Service {
 public:
  ClusterServiceImpl(Cluster* cluster, PeerListener* listener, const rpc::Caller& caller)
      : cluster_(cluster), listener_(listener), caller_(caller) {}

  grpc::Status InitCluster(grpc::ServerContext*, const v1::InitClusterRequest* request,
                           v1::ClusterState* response) override {
    return Change("init cluster", response, [&]() -> Status {
      RETURN_IF_ERROR(cluster_->Init(*request, Now()));
      return listener_->StartIfMember();
    });
  }

  grpc::Status Join(grpc::ServerContext*, const v1::JoinRequest* request,
                    v1::ClusterState* response) override {
    return Change("join", response, [&]() -> Status {
      RETURN_IF_ERROR(cluster_->Join(*request));
      return listener_->StartIfMember();
    });
  }

  grpc::Status MakeToken(grpc::ServerContext*, const v1::MakeTokenRequest* request,
                         v1::MakeTokenResponse* response) override {
    return AsRoot("make token", [&]() -> Status {
      ASSIGN_OR_RETURN(*response,
                       cluster_->MakeToken(std::chrono::seconds(request->ttl_s()), Now()));
      return Ok();
    });
  }

  grpc::Status ListHosts(grpc::ServerContext*, const v1::ListHostsRequest*,
                         v1::ClusterState* response) override {
    return Change("list hosts", response, [] { return Ok(); });
  }

  grpc::Status RemoveHost(grpc::ServerContext*, const v1::RemoveHostRequest* request,
                          v1::ClusterState* response) override {
    return Change("remove host", response,
                  [&] { return cluster_->Remove(request->name(), Now()); });
  }

  grpc::Status RenewCertificate(grpc::ServerContext*, const v1::RenewRequest*,
                                v1::ClusterState* response) override {
    return Change("renew certificate", response, [&]() -> Status {
      RETURN_IF_ERROR(cluster_->Renew(Now()));
      return cluster_->Refresh();
    });
  }

 private:
  template <typename Handler>
  grpc::Status AsRoot(const char* call, Handler handler) {
    return Guarded(call, [&]() -> Status {
      if (!caller_.IsRoot()) {
        return Error(Code::kPermissionDenied, "hosts of the cluster are for root to manage");
      }
      return handler();
    });
  }

  // Runs `handler`, then answers how things are.
  template <typename Handler>
  grpc::Status Change(const char* call, v1::ClusterState* response, Handler handler) {
    return AsRoot(call, [&]() -> Status {
      RETURN_IF_ERROR(handler());
      ASSIGN_OR_RETURN(*response, cluster_->State());
      return Ok();
    });
  }

  Cluster* const cluster_;
  PeerListener* const listener_;
  const rpc::Caller caller_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeClusterService(Cluster* cluster, PeerListener* listener,
                                                  const rpc::Caller& caller) {
  return std::make_unique<ClusterServiceImpl>(cluster, listener, caller);
}

}  // namespace strata::imaged
