// The keeper of a FUSE server: a small process whose child, the server, shares its table of
// descriptors (clone(2), CLONE_FILES). When the server is killed or crashes, nothing that it had
// open is closed: neither the connection, nor the files that have no name any more. The keeper
// starts another server, which takes the place of the first (layerfs/fuse/takeover.h); the programs
// in the container only wait for that long.
//
// SIGHUP replaces the binary: keeper and server go on as the program that now lies at the path from
// which they were started, if it understands the same state.
//
// A server that crashes again and again (not: is killed), or that says that it cannot take over, is
// given up: the reason is logged and written to `broken_file`, and the mount ends (ENOTCONN)
// instead of going on wrongly.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "layerfs/server/server_state.h"
#include "layerfs/server_process.h"

namespace strata::layerfs {

// A keeper's comm (proc(5)), by which `layerfs upgrade` finds it.
inline constexpr char kKeeperName[] = "layerfs-keeper";
// How a new program is given the state of the old one, and asked for the version that it knows.
inline constexpr char kStateFdOption[] = "--state-fd";
inline constexpr char kStateVersionCommand[] = "state-version";

// What a server's program was given (layerfs/server_process.h).
struct KeeperOptions {
  int fuse_fd = -1;
  int ready_fd = -1;  // -1: nobody waits.
  int state_fd = -1;  // Of the program that this one replaces; -1: none.
  std::string broken_file;
  std::vector<int> kept_fds;  // Besides the connection and the state.
};

// Runs `serve` in one child after the other, until one ends by itself: the exit code of the calling
// process, and of the children. With `ready_fd` all that happens in a process of its own, and the
// caller's ends when the first child is ready. With neither `ready_fd` nor `state_fd` there is no
// keeper, and `state` is null.
// REQUIRES: the calling process has one thread.
using ServeFn = std::function<int(ServerState* state, Launcher& launcher)>;
int KeepServing(const KeeperOptions& options, const ServeFn& serve);

}  // namespace strata::layerfs
