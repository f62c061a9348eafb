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

#include "layerfs/fuse/server_state.h"

namespace strata::layerfs {

// A keeper's comm (proc(5)), by which `layerfs upgrade` finds it.
inline constexpr char kKeeperName[] = "layerfs-keeper";
// How a new program is given the state of the old one, and asked for the version that it knows.
inline constexpr char kStateFdOption[] = "--state-fd";
inline constexpr char kStateVersionCommand[] = "state-version";

struct KeeperOptions {
  ServerState* state = nullptr;
  std::string broken_file;
  std::vector<int> kept_fds;  // A new program gets them, besides the state's.
};

// Runs `serve` in one child after the other, until one ends by itself: its exit code. The children
// end with what `serve` returns. REQUIRES: the calling process has one thread.
int KeepServing(const KeeperOptions& options, const std::function<int()>& serve);

}  // namespace strata::layerfs
