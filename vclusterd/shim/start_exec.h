// The two jobs of strata-node. REQUIRES: a process without other threads.
#pragma once

#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "vclusterd/shim/node_request.h"

namespace strata::vcluster {

// Ok means: process 1 of the container runs and the record is written (not synced). After an error
// nothing of the container is left. Changes this process's mount namespace. `volumes`: the mounts
// of the request's, in its order.
Status StartNode(const StartNodeRequest& request, UniqueFd root, std::vector<UniqueFd> volumes);

// Runs the command to its end and answers its exit code as a shell tells it. If this process dies,
// the command is killed.
Result<int> ExecInNode(ExecNodeRequest& request);

}  // namespace strata::vcluster
