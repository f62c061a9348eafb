// Serves the object mount: a read-only file system of digests, ab/cdef…, laid out as the store's
// object folder. An object that is there opens at once, with passthrough; one that is not is
// fetched when it is first opened (object_source.h). Overlayfs has it as a data-only layer below
// the folder itself, so only objects that are missing come here (layerfs/object_mount.h).
//
//  - Looking a name up fetches nothing and asks nobody: overlayfs does it right before it opens.
//  The
//    size of an object that is not here is asked for when somebody stats it (and at the lookup
//    where there is no passthrough, because then the kernel's reads go by it).
//  - Names cannot be listed, and only root may look them up: what is in the store, and can be had
//    for it, is not for every user who knows a digest. Overlayfs asks as root.
//  - Setting kProvideXattr on an object provides it, or checks the one that is there against its
//    digest and replaces it; EIO when that fails.
//  - One backing file per object while any open of it lasts. Where passthrough is missing, reads
//    come here.
//
// A failed fetch is EIO for those who waited, one line of the log, and forgotten.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/result.h"
#include "layerfs/objects/object_source.h"

namespace strata::layerfs {

class ServerState;

struct ObjectServerOptions {
  int fuse_fd = -1;  // The connection; taken over, closed at the end.
  std::string objects_dir;
  unsigned threads_max = 8;         // That answer requests; fetches wait on threads of their own.
  unsigned fetch_threads_max = 16;  // Fetches at once.
  bool passthrough = true;
  bool debug = false;  // Every request on standard error.
  // What outlives this process; null: nothing does. See layerfs/server/server_life.h.
  ServerState* state = nullptr;
  std::function<void()> on_ready;
};

// Serves until the mount is gone and answers the exit code of the process. An Error means that
// nothing was served.
Result<int> ServeObjects(const ObjectServerOptions& options, ObjectSource& source);

}  // namespace strata::layerfs
