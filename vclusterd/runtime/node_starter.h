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
  // The program is looked for at the first start. `nodes_dir`, `files`: as shim/serve.h has them.
  NodeStarter(const std::string& node_binary, const std::string& nodes_dir,
              const std::vector<std::string>& files);
  NodeStarter(const NodeStarter&) = delete;

  // As shim/serve.h has them; the caller's.
  struct StartFds {
    int request = -1;
    int errors = -1;
    int root = -1;
    std::vector<int> volumes;
  };
  // The pid of the container's process 1, which may have ended by now; 0: it could not be started.
  // kDeadlineExceeded: the process that starts it was killed.
  Result<pid_t> Run(const StartFds& fds, std::chrono::milliseconds timeout);

 private:
  Status Begin();
  // A pidfd of the process that does it.
  Result<UniqueFd> Ask(const std::vector<int>& fds);

  std::vector<std::string> argv_;
  std::mutex mutex_;  // Guards the following: one question and its answer at a time.
  std::optional<Subprocess> server_;
  UniqueFd socket_;
};

}  // namespace strata::vcluster
