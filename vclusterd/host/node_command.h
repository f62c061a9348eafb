// A command of Strata's own accord in a node: hooks, checks whether it is ready, measurements.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "vclusterd/api/host.pb.h"
#include "vclusterd/host/node_life.h"

namespace strata::vcluster {

struct NodeCommandResult {
  int exit_code = 0;   // As a shell tells it.
  std::string output;  // Both streams, the last kHookOutputBytesMax.
};

// Runs it to its end as the node's root. kDeadlineExceeded and kCancelled after it was killed; then
// `output` holds what it wrote until then.
Result<NodeCommandResult> RunInNode(const NodeLife& life, const ExecTarget& target,
                                    const std::vector<std::string>& argv,
                                    std::chrono::milliseconds timeout, const CancelToken& cancel,
                                    std::string* output);

// Runs it and reports it as a hook's run, whatever comes of it.
host::v1::HookRun RunHook(const NodeLife& life, const ExecTarget& target, const std::string& hook,
                          const host::v1::Command& command, const CancelToken& cancel);

// Waits until the check says that the node is ready. kDeadlineExceeded has what it said last.
Status AwaitReady(const NodeLife& life, const ExecTarget& target, const std::string& address,
                  const host::v1::ReadyCheck& check, const CancelToken& cancel);

}  // namespace strata::vcluster
