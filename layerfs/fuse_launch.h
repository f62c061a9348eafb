// Starts the fuse driver for one root: a detached FUSE mount and the `layerfs serve` process that
// answers it. Internal to layerfs; the way in is root.h.
//
// What the server is given, besides its command line:
//   descriptor 3  the /dev/fuse connection
//   descriptor 4  the readiness pipe: kServerReady once it serves; anything else is the reason why
//                 it does not, up to the end of file
//   descriptor 2  <upper>.log, appended to
//   descriptor 5  the lock on the upper (layerfs/upper_lock.h), to be kept until it ends
//
// What it starts is the server's keeper (layerfs/cmd/keeper.h). <upper>.broken appears when that
// gave its server up, and is removed by the next mount.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"
#include "layerfs/root.h"

namespace strata::layerfs {

inline constexpr int kServerFuseFd = 3;
inline constexpr int kServerReadyFd = 4;
inline constexpr int kServerLockFd = 5;
inline constexpr std::string_view kServerReady = "ready\n";

// Where the reason lies why a mount has ended before it was unmounted.
std::string BrokenFile(const std::string& upper_dir);

// The detached mount, served. `layerfs_binary` is looked up in PATH when it has no slash.
// kDeadlineExceeded when the server is not ready in time (it is killed then).
Result<UniqueFd> MountFuseRoot(const RootSpec& spec, const std::string& layerfs_binary,
                               std::chrono::milliseconds ready_within = std::chrono::seconds(20));

}  // namespace strata::layerfs
