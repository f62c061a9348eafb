// Starts the fuse driver for one root: a detached FUSE mount and the `layerfs serve` process that
// answers it. Internal to layerfs; the way in is root.h.
//
// The server gets the lock on the upper (layerfs/upper_lock.h) as its descriptor 5, to be kept
// until it ends; see layerfs/server_process.h for the others. It logs to <upper>.log.
//
// What it starts is the server's keeper (layerfs/server/keeper.h). <upper>.broken appears when that
// gave its server up, and is removed by the next mount.
#pragma once

#include <chrono>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"
#include "layerfs/root.h"

namespace strata::layerfs {

// Where the reason lies why a mount has ended before it was unmounted.
std::string BrokenFile(const std::string& upper_dir);

// The detached mount, served. `layerfs_binary` is looked up in PATH when it has no slash.
// kDeadlineExceeded when the server is not ready in time (it is killed then).
Result<UniqueFd> MountFuseRoot(const RootSpec& spec, const std::string& layerfs_binary,
                               std::chrono::milliseconds ready_within = std::chrono::seconds(20));

}  // namespace strata::layerfs
