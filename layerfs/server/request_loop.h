// A libfuse session on a mounted /dev/fuse connection, and the loop that serves it: it
// reads the kernel's requests and has libfuse dispatch them. libfuse's own loop does the same, but
// shows neither the first request (FUSE_INIT), which the next server needs, nor which requests are
// sent again after a server died (FUSE_NOTIFY_RESEND, Linux 6.9).
#pragma once

#include <fuse_lowlevel.h>

#include <cstdint>
#include <memory>

#include "common/result.h"
#include "common/unique_fd.h"
#include "layerfs/server/server_state.h"

namespace strata::layerfs {

using FuseSessionPtr = std::unique_ptr<fuse_session, void (*)(fuse_session*)>;

// `connection` is the session's from then on. `debug`: every request on standard error.
Result<FuseSessionPtr> OpenFuseSession(UniqueFd connection, const fuse_lowlevel_ops& ops,
                                       void* userdata, bool debug);

// Reads and answers FUSE_INIT, and keeps it in `state`.
Status Negotiate(fuse_session* fuse, ServerState& state);
// Gives a new libfuse session the FUSE_INIT of the state, and has the kernel send again what an
// earlier server has read and not answered. kUnsupported: the kernel cannot.
Status NegotiateAgain(fuse_session* fuse, ServerState& state);

// Serves with `threads` threads until the connection ends, and counts in `state`; the exit code of
// the process.
int ServeRequests(fuse_session* fuse, ServerState& state, unsigned threads);

// The request that this thread works on. `is_repeated`: an earlier server may have done it, and the
// kernel has not heard of it.
struct CurrentRequest {
  uint64_t number = 0;
  bool is_repeated = false;
  size_t thread = 0;  // Below kServerThreadsMax.
};
const CurrentRequest& ThisRequest();

// This thread's request is about to wait for a disk or a network, or to copy much: another thread
// reads requests meanwhile (leadership.h).
void StandAside();

}  // namespace strata::layerfs
