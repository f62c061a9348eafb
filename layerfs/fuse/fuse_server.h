// Serves a container's root through FUSE (layerfs/root.h, Driver::kFuse): the union of UnionFs on a
// /dev/fuse connection that the caller has mounted (options fd, rootmode, user_id, group_id,
// allow_other, default_permissions).
#pragma once

#include <functional>
#include <vector>

#include "common/result.h"
#include "layerfs/root.h"

namespace strata::layerfs {

class ServerState;

struct FuseServerOptions {
  int fuse_fd = -1;  // The connection; taken over, closed at the end.
  RootSpec root;
  unsigned threads_max = 4;
  bool passthrough = true;  // Used when the kernel and the file systems below can.
  bool debug = false;       // Every request on standard error.
  // What outlives this process; null: nothing does. A state in which a server was ready before
  // means that this one takes its place (docs/takeover.md): then every open descriptor of this
  // process is that server's or in `kept_fds`.
  ServerState* state = nullptr;
  std::vector<int> kept_fds;
  // Called once in the life of a mount, by the calling thread, when everything is open and requests
  // are about to be served: the mount can be used.
  std::function<void()> on_ready;
};

// Serves until the mount is gone and answers the exit code of the process: 0, or 1 when the
// connection broke. Changes the calling thread's umask and rights (rights.h); threads that exist
// already keep theirs. An Error means that nothing was served: bad tree, upper in use, bad
// descriptor.
// REQUIRES: the caller holds the upper's lock (layerfs/upper_lock.h).
Result<int> ServeFuse(const FuseServerOptions& options);

}  // namespace strata::layerfs
