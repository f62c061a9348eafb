// NodeDesk: who answers what programs in nodes ask for (docs/scale-from-nodes.md): the leader, or
// the master in this process. This host vouches for which of its nodes asks.
#pragma once

#include "common/result.h"
#include "vclusterd/api/worker.pb.h"

namespace strata::vcluster {

// Thread-safe. Calls end within seconds.
class NodeDesk {
 public:
  virtual ~NodeDesk() = default;
  // kUnavailable: nobody leads just now.
  virtual Result<host::v1::NodeTokenResponse> MakeToken(
      const host::v1::NodeTokenRequest& request) = 0;
  virtual Result<host::v1::NodeAskResponse> Ask(const host::v1::NodeAskRequest& request) = 0;
};

}  // namespace strata::vcluster
