#include "imaged/client/cluster_client.h"

#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "imaged/api/peer.grpc.pb.h"

namespace strata::imaged {
namespace {

constexpr std::chrono::seconds kAnswerMax(20);

class GrpcClusterClient final : public ClusterClient {
 public:
  explicit GrpcClusterClient(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(v1::ClusterService::NewStub(channel)) {}

  Result<std::string> MakeToken() override {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kAnswerMax);
    v1::MakeTokenResponse response;
    const grpc::Status status = stub_->MakeToken(&context, v1::MakeTokenRequest(), &response);
    if (!status.ok()) return rpc::FromGrpc(status);
    return response.token();
  }

  Status RemoveHost(const std::string& name) override {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kAnswerMax);
    v1::RemoveHostRequest request;
    request.set_name(name);
    v1::ClusterState response;
    const grpc::Status status = stub_->RemoveHost(&context, request, &response);
    if (status.ok() || status.error_code() == grpc::StatusCode::NOT_FOUND) return Ok();
    return rpc::FromGrpc(status);
  }

 private:
  const std::unique_ptr<v1::ClusterService::Stub> stub_;
};

}  // namespace

Result<std::unique_ptr<ClusterClient>> ClusterClient::Connect(const std::string& socket_path) {
  ASSIGN_OR_RETURN(const auto channel, rpc::ConnectLocal(socket_path, "imaged"));
  return std::unique_ptr<ClusterClient>(std::make_unique<GrpcClusterClient>(channel));
}

}  // namespace strata::imaged
