// Has containers started by `strata-node serve`, a process of ours without threads: liblxc forks
// and changes namespaces, which a process with threads must not. It begins with the first start,
// begins anew where it has ended, and ends with this object; the containers live on.
//
// Thread-safe: starts run side by side.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/subprocess.h"
#include "common/unique_fd.h"

namespace strata::vcluster {

class NodeStarter {
 public:
  // The program is looked for at the first start.
  explicit NodeStarter(std::string node_binary) : node_binary_(std::move(node_binary)) {}
  NodeStarter(const NodeStarter&) = delete;

  // Runs one start to its end; `fds` as shim/serve.h has them. Ok says nothing about its success.
  // kDeadlineExceeded: its process was killed.
  Status Run(const std::vector<int>& fds, std::chrono::milliseconds timeout);

 private:
  Status Begin();
  // A pidfd of the process that does it.
  Result<UniqueFd> Ask(const std::vector<int>& fds);

  const std::string node_binary_;
  std::mutex mutex_;  // Guards the following: one question and its answer at a time.
  std::optional<Subprocess> server_;
  UniqueFd socket_;
};

}  // namespace strata::vcluster
