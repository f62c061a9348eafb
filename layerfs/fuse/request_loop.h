// Reads the kernel's requests and has libfuse dispatch them. libfuse's own loop does the same, but
// shows neither the first request (FUSE_INIT), which the next server needs, nor which requests are
// sent again after a server died (FUSE_NOTIFY_RESEND, Linux 6.9).
#pragma once

#include <fuse_lowlevel.h>

#include <cstdint>

#include "common/result.h"
#include "layerfs/fuse/server_state.h"

namespace strata::layerfs {

// Reads and answers FUSE_INIT, and keeps it in `state`.
Status Negotiate(fuse_session* fuse, ServerState& state);
// Gives a new libfuse session the FUSE_INIT of the state, and has the kernel send again what an
// earlier server has read and not answered. kUnsupported: the kernel cannot.
Status NegotiateAgain(fuse_session* fuse, ServerState& state);

// Serves with `threads` threads until the connection ends; the exit code of the process.
int ServeRequests(fuse_session* fuse, unsigned threads);

// The request that this thread works on. `is_repeated`: an earlier server may have done it, and the
// kernel has not heard of it.
struct CurrentRequest {
  uint64_t number = 0;
  bool is_repeated = false;
  size_t thread = 0;  // Below kServerThreadsMax.
};
const CurrentRequest& ThisRequest();

}  // namespace strata::layerfs
