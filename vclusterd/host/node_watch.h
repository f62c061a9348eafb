// NodeWatch: hears when process 1 of a node ends. One thread for all nodes, over pidfds.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/result.h"
#include "common/unique_fd.h"
#include "vclusterd/shim/node_record.h"

namespace strata::vcluster {

class NodeWatch {
 public:
  // `pid_fd`: of the process, for ExitStatus; invalid when it was gone before it could be watched.
  // On the watch's thread, or on that of Add.
  using Ended = std::function<void(const std::string& id, const ProcessId& init, UniqueFd pid_fd)>;

  static Result<std::unique_ptr<NodeWatch>> Start(Ended ended);
  // Nothing is called any more when this returns. Not to be called by `ended`.
  ~NodeWatch();

  // `ended` is called once for it, at once when it has ended already.
  Status Add(const std::string& id, const ProcessId& init);

 private:
  struct Watched {
    std::string id;
    ProcessId init;
    UniqueFd pid_fd;
  };

  explicit NodeWatch(Ended ended) : ended_(std::move(ended)) {}
  void Run();
  void Tell(uint64_t key);

  const Ended ended_;
  UniqueFd epoll_;
  UniqueFd stop_;     // eventfd
  std::mutex mutex_;  // Guards what follows.
  std::map<uint64_t, Watched> watched_;
  uint64_t next_ = 1;
  std::thread thread_;
};

// As wait(2) tells it, once the process was reaped; nullopt where the kernel does not know (before
// Linux 6.15).
std::optional<int> ExitStatus(const UniqueFd& pid_fd);

}  // namespace strata::vcluster
