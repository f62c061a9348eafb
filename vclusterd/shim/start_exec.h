// The two jobs of strata-node. REQUIRES: a process without other threads.
#pragma once

#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "vclusterd/shim/node_request.h"

namespace strata::vcluster {

// Starts the container and stays as its monitor until it has ended, which is Ok. Process 1 gets
// `started` and the request's lock (serve.h); after an error of what comes before liblxc's start,
// `started` is still the caller's. Takes the descriptors kStartedFd and kLockFd, PATH
// and a part of some limits from this process, and mounts. REQUIRES: a private mount namespace of
// its own. `volumes`: the mounts of the request's, in its order.
Status StartNode(const StartNodeRequest& request, UniqueFd root, UniqueFd* started,
                 std::vector<UniqueFd> volumes);

// Runs the command to its end and answers its exit code as a shell tells it. If this process dies,
// the command is killed.
Result<int> ExecInNode(ExecNodeRequest& request);

}  // namespace strata::vcluster
