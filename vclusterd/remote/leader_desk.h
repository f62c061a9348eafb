// LeaderDesk: what nodes of a worker ask for is asked of the leader.
#pragma once

#include "vclusterd/host/node_desk.h"
#include "vclusterd/remote/worker_client.h"

namespace strata::vcluster {

class LeaderDesk final : public NodeDesk {
 public:
  // `client` must outlive this.
  explicit LeaderDesk(WorkerClient& client) : client_(client) {}

  Result<host::v1::NodeTokenResponse> MakeToken(const host::v1::NodeTokenRequest& request) override;
  Result<host::v1::NodeAskResponse> Ask(const host::v1::NodeAskRequest& request) override;

 private:
  WorkerClient& client_;
};

}  // namespace strata::vcluster
