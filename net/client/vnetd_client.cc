#include "net/client/vnetd_client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <chrono>

#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "net/api/net.grpc.pb.h"
#include "net/fabric_message.h"
#include "net/message.h"

namespace strata::net {
namespace {

// One that is being started again is waited for.
constexpr std::chrono::seconds kConnectMax(10);
// Of hundreds of networks that are made or removed at once.
constexpr std::chrono::seconds kPutMax(120);
constexpr std::chrono::seconds kShowMax(30);

class VnetdClient final : public NetworkMaker {
 public:
  explicit VnetdClient(const std::shared_ptr<grpc::Channel>& channel)
      : channel_(channel), stub_(v1::NetService::NewStub(channel)) {}
  Status Start() {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kShowMax);
    v1::ShowResponse response;
    const grpc::Status status = stub_->Show(&context, v1::ShowRequest(), &response);
    if (!status.ok()) return rpc::FromGrpc(status).Wrap("vnetd");
    joins_links_ = response.joins_links();
    serves_names_ = response.has_name_service();
    needs_checksums_ = response.node_checksums();
    return Ok();
  }
  bool JoinsLinks() const override { return joins_links_; }
  bool ServesNames() const override { return serves_names_; }
  bool NeedsChecksums() const override { return needs_checksums_; }

  Status Put(DesiredNetwork desired) override {
    if (!channel_->WaitForConnected(std::chrono::system_clock::now() + kConnectMax)) {
      return Error(Code::kUnavailable,
                   "vnetd does not answer: is it running? (tools/setup/daemons start vnetd)");
    }
    v1::PutRequest request;
    *request.mutable_networks() = ToMessage(desired);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPutMax);
    v1::PutResponse response;
    const grpc::Status status = stub_->Put(&context, request, &response);
    return status.ok() ? Ok() : Status(rpc::FromGrpc(status).Wrap("vnetd"));
  }

  Result<FabricKeys> KeysOfFabric() override {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kShowMax);
    v1::FabricState state;
    const grpc::Status status = stub_->Fabric(&context, v1::FabricRequest(), &state);
    if (!status.ok()) return rpc::FromGrpc(status).Wrap("vnetd");
    FabricKeys keys;
    ASSIGN_OR_RETURN(keys.key, PublicKey::Parse(state.key()), "vnetd");
    ASSIGN_OR_RETURN(keys.next_key, ReadKey(state.next_key()), "vnetd");
    ASSIGN_OR_RETURN(keys.session, ReadKey(state.session()), "vnetd");
    return keys;
  }

 private:
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::NetService::Stub> stub_;
  bool joins_links_ = false;  // Set by Start, as the next.
  bool serves_names_ = false;
  bool needs_checksums_ = false;
};

}  // namespace

Result<std::unique_ptr<NetworkMaker>> ConnectVnetd(const std::string& socket_path) {
  ASSIGN_OR_RETURN(const auto channel, rpc::ConnectLocal(socket_path, "vnetd"));
  auto client = std::make_unique<VnetdClient>(channel);
  RETURN_IF_ERROR(client->Start());
  return std::unique_ptr<NetworkMaker>(std::move(client));
}

}  // namespace strata::net
