// Has containers started by `strata-node serve`, a process of ours without threads: liblxc forks
// and changes namespaces, which a process with threads must not. It begins with the first start,
// begins anew where it has ended, and ends with this object; the containers live on.
//
// Thread-safe: starts run side by side.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
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
  // The program is looked for at the first start. `needed`: as shim/serve.h has it.
  NodeStarter(const std::string& node_binary, const std::vector<std::string>& needed);
  NodeStarter(const NodeStarter&) = delete;

  // As shim/serve.h has them; the caller's.
  struct StartFds {
    int request = -1;
    int errors = -1;
    int root = -1;
    std::vector<int> volumes;
  };
  // Told of the container's process 1 and of its monitor. Process 1 waits meanwhile; after an error
  // it ends, before any program of the node has begun.
  using Keep = std::function<Status(pid_t init, pid_t monitor)>;
  // True: `keep` has succeeded and the node goes on; it may have ended by now. False: it could not
  // be started. kDeadlineExceeded: it did not in time; its monitor was killed.
  Result<bool> Run(const StartFds& fds, const Keep& keep, std::chrono::milliseconds timeout);

 private:
  Status Begin();
  // The process that does it, which is to be the container's monitor.
  struct Monitor {
    UniqueFd pid_fd;
    pid_t pid = 0;
  };
  Result<Monitor> Ask(const std::vector<int>& fds);

  std::vector<std::string> argv_;
  std::mutex mutex_;  // Guards the following: one question and its answer at a time.
  std::optional<Subprocess> server_;
  UniqueFd socket_;
};

}  // namespace strata::vcluster
