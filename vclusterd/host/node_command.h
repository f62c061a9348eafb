// A command of Strata's own accord in a node: hooks, checks whether it is ready, measurements.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/cancel.h"
#include "common/result.h"
#include "vclusterd/api/host.pb.h"
#include "vclusterd/host/node_life.h"

namespace strata::vcluster {

// One that was started. Its end kills strata-node, and with that the command.
class NodeCommand {
 public:
  using Clock = std::chrono::steady_clock;
  using Sink = std::function<void(std::string_view)>;

  static Result<NodeCommand> Start(const NodeLife& life, const ExecTarget& target,
                                   const ExecParameters& parameters);
  // Hands what it writes (both streams) to `sink` until it ends: true; false at `until`, and when
  // `cancel` is set. May be called again.
  Result<bool> Follow(Clock::time_point until, const CancelToken& cancel, const Sink& sink);
  // As a shell tells it. REQUIRES: Follow has answered true, or it was killed.
  Result<int> ExitCode() { return process_.Wait(); }

 private:
  NodeCommand(Subprocess process, UniqueFd pid_fd, UniqueFd from)
      : process_(std::move(process)), pid_fd_(std::move(pid_fd)), from_(std::move(from)) {}

  Subprocess process_;
  UniqueFd pid_fd_;
  UniqueFd from_;  // Its output; closed when nobody writes to it any more.
};

// The last `bytes_max` bytes of what is added.
class OutputEnd {
 public:
  explicit OutputEnd(size_t bytes_max) : bytes_max_(bytes_max) {}
  void Add(std::string_view data);
  std::string Text() const;
  uint64_t bytes() const { return bytes_; }  // Of all.

 private:
  const size_t bytes_max_;
  std::string end_;  // At most twice as much.
  uint64_t bytes_ = 0;
};

struct NodeCommandResult {
  int exit_code = 0;   // As a shell tells it.
  std::string output;  // Both streams, the last kHookOutputBytesMax.
};

// Runs it to its end as the node's root. kDeadlineExceeded and kCancelled after it was killed, with
// every process that it has started (process_marks.h); then `output` holds what it wrote until
// then. What it leaves in the background when it ends by itself goes on.
Result<NodeCommandResult> RunInNode(const NodeLife& life, const ExecTarget& target,
                                    const std::vector<std::string>& argv,
                                    std::chrono::milliseconds timeout, const CancelToken& cancel,
                                    std::string* output);

// Runs it and reports it as a hook's run, whatever comes of it. What an earlier run of the hook has
// left in the node ends first: its processes have STRATA_HOOK=<hook> in their environment.
host::v1::HookRun RunHook(const NodeLife& life, const ExecTarget& target, const std::string& hook,
                          const host::v1::Command& command, const CancelToken& cancel);

// Waits until the check says that the node is ready. kDeadlineExceeded has what it said last.
Status AwaitReady(const NodeLife& life, const ExecTarget& target, const std::string& address,
                  const host::v1::ReadyCheck& check, const CancelToken& cancel);

}  // namespace strata::vcluster
