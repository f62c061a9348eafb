#include "vclusterd/remote/leader_desk.h"

#include "common/rpc/status.h"

namespace strata::vcluster {
namespace {

constexpr std::chrono::seconds kAnswerMax(5);

template <typename Response, typename Call>
Result<Response> AskLeader(WorkerClient& client, const Call& call) {
  const std::shared_ptr<grpc::Channel> channel = client.Leader();
  if (channel == nullptr) {
    return Error(Code::kUnavailable, "this host hears no master just now: try again");
  }
  const auto leader = host::v1::MasterService::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kAnswerMax);
  Response response;
  const grpc::Status status = call(*leader, &context, &response);
  if (!status.ok()) return rpc::FromGrpc(status);
  return response;
}

}  // namespace

Result<host::v1::NodeTokenResponse> LeaderDesk::MakeToken(
    const host::v1::NodeTokenRequest& request) {
  return AskLeader<host::v1::NodeTokenResponse>(
      client_, [&](auto& leader, auto* context, auto* response) {
        return leader.NodeToken(context, request, response);
      });
}

Result<host::v1::NodeAskResponse> LeaderDesk::Ask(const host::v1::NodeAskRequest& request) {
  return AskLeader<host::v1::NodeAskResponse>(client_,
                                              [&](auto& leader, auto* context, auto* response) {
                                                return leader.NodeAsk(context, request, response);
                                              });
}

}  // namespace strata::vcluster
