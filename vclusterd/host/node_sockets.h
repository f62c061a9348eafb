// NodeSockets: what programs in nodes use to ask for something (docs/scale-from-nodes.md). In the
// directory that a node has read-only as /dev/.strata:
//
//   socket   0600, of the node's root: only he connects, and the kernel says that it is him
//   token    0400, of the node's root: what he shows; made anew before it ends
//
// Which node asks is known by its socket, and told to the desk with the token.
//
// Nodes are hostile: each has few calls at once and a bounded number a second, a call is short and
// has to come within seconds, and its answer is never waited for. A node that asks too much waits;
// others do not notice.
//
// Thread-safe. Files are not synced: they are made anew with every process, and start of a node.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/rate_bucket.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "common/work_queue.h"
#include "vclusterd/host/node_desk.h"

namespace strata::vcluster {

// A node whose programs may ask.
struct AskingNode {
  std::string id;
  uint32_t number = 0;
  uint32_t index = 0;
  uint32_t turn = 0;      // With another one it gets another token.
  std::string directory;  // On this host.
  uint32_t root_uid = 0;  // Of the node's root, here.
};

struct NodeSocketsOptions {
  size_t calls_at_once = 2;  // Of a node.
  double calls_per_s = 4;
  double calls_burst = 20;
  std::chrono::milliseconds call_max{5000};  // Until it has come as a whole.
  // Before another try to get a token: doubled each time, up to the second one.
  std::chrono::milliseconds retry_pause{200};
  std::chrono::milliseconds retry_pause_max{10'000};
};

class NodeSockets {
 public:
  static Result<std::unique_ptr<NodeSockets>> Start(NodeSocketsOptions options = {});
  // Files stay: programs hear that nobody answers. The desk is not called any more.
  ~NodeSockets();

  // Nothing is done when the same turn is open.
  Status Open(const AskingNode& node);
  // Also of one that is not open. Its directory is not used any more when this returns.
  void Close(const std::string& id);

  // Who answers; nullptr: nobody. The one before is not called any more when this returns.
  void SetDesk(std::shared_ptr<NodeDesk> desk);

 private:
  using Clock = std::chrono::steady_clock;
  struct Door {
    AskingNode node;
    UniqueFd listener;
    std::mutex mutex;    // Guards directory; held while files are written.
    UniqueFd directory;  // Invalid: it is closed.
    // Guarded by NodeSockets::mutex_:
    RateBucket bucket;
    size_t calls = 0;
  };
  using DoorPtr = std::shared_ptr<Door>;
  struct Call {
    DoorPtr door;
    UniqueFd fd;
    std::string text;
    Clock::time_point until;
  };

  explicit NodeSockets(NodeSocketsOptions options) : options_(options), workers_(kWorkers) {}
  void Run();
  void Wake();
  // Of the thread: one round of it.
  void Accept(const DoorPtr& door);
  // False: it is over, or somebody else's now.
  bool Read(Call* call);
  void Answer(Call* call);
  void End(const DoorPtr& door);
  void FetchTokenLater(const DoorPtr& door, std::chrono::milliseconds pause,
                       std::chrono::milliseconds delay);
  void FetchToken(const DoorPtr& door, std::chrono::milliseconds pause);
  Result<std::chrono::milliseconds> PutToken(Door& door);
  template <typename Response, typename Ask>
  Result<Response> AskDesk(const Ask& ask);

  static constexpr size_t kWorkers = 4;

  const NodeSocketsOptions options_;
  UniqueFd wake_;                 // eventfd
  std::shared_mutex desk_mutex_;  // Guards desk_; held shared while that is called.
  std::shared_ptr<NodeDesk> desk_;
  std::mutex mutex_;                      // Guards what follows.
  std::map<std::string, DoorPtr> doors_;  // By the node's id.
  bool stop_ = false;
  std::vector<Call> reading_;  // Of the thread.
  WorkQueue workers_;          // For what waits for the desk.
  std::thread thread_;
};

}  // namespace strata::vcluster
