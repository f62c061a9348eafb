// A libfuse session on a mounted /dev/fuse connection, and the loop that serves it.
#pragma once

#include <fuse_lowlevel.h>

#include <functional>
#include <memory>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::layerfs {

using FuseSessionPtr = std::unique_ptr<fuse_session, void (*)(fuse_session*)>;

// `connection` is the session's from then on. `debug`: every request on standard error.
Result<FuseSessionPtr> OpenFuseSession(UniqueFd connection, const fuse_lowlevel_ops& ops,
                                       void* userdata, bool debug);

// Serves until the mount is gone and answers the exit code of the process: 0, or 1 when the
// connection broke.
Result<int> LoopFuseSession(fuse_session* session, unsigned threads_max);

}  // namespace strata::layerfs
