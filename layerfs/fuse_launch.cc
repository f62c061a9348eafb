#include "layerfs/fuse_launch.h"

#include <fcntl.h>

#include <vector>

#include "common/file_io.h"
#include "common/mount.h"
#include "layerfs/server_process.h"
#include "layerfs/upper_lock.h"

namespace strata::layerfs {
namespace {

using Clock = std::chrono::steady_clock;

// An open may wait for a fetch; the others go on meanwhile.
constexpr int kThreadsThatFetch = 16;

Result<UniqueFd> MountConnection(int fuse_fd, const RootSpec& spec) {
  return CreateDetachedMount({.type = "fuse",
                              .options = {{"source", "strata"},
                                          {"subtype", "layerfs"},
                                          {"fd", std::to_string(fuse_fd)},
                                          {"rootmode", "40755"},
                                          {"user_id", "0"},
                                          {"group_id", "0"},
                                          {"allow_other", ""},
                                          {"default_permissions", ""}},
                              .attributes = RootAttributes(spec)});
}

std::vector<std::string> ServerCommand(const RootSpec& spec, const std::string& binary) {
  std::vector<std::string> argv = {binary,       "serve",
                                   "--fuse-fd",  std::to_string(kServerFuseFd),
                                   "--ready-fd", std::to_string(kServerReadyFd),
                                   "--tree",     spec.tree_path,
                                   "--objects",  spec.objects_dir,
                                   "--upper",    spec.upper_dir,
                                   "--work",     spec.work_dir};
  if (spec.id_shift.has_value()) {
    argv.insert(argv.end(), {"--id-shift", std::to_string(spec.id_shift->first_id) + ":" +
                                               std::to_string(spec.id_shift->count)});
  }
  if (spec.object_mount.has_value()) {
    argv.insert(argv.end(),
                {"--object-mount", spec.object_mount->mountpoint, "--imaged",
                 spec.object_mount->imaged_socket, "--objects-binary", spec.object_mount->binary});
  }
  if (spec.object_mount.has_value() && spec.objects_missing) {
    argv.insert(argv.end(), {"--threads", std::to_string(kThreadsThatFetch)});
  }
  return argv;
}

}  // namespace

std::string BrokenFile(const std::string& upper_dir) { return upper_dir + ".broken"; }

Result<UniqueFd> MountFuseRoot(const RootSpec& spec, const std::string& layerfs_binary,
                               std::chrono::milliseconds ready_within) {
  const auto deadline = Clock::now() + ready_within;
  ASSIGN_OR_RETURN(UniqueFd lock, TakeUpperLock(spec.upper_dir));
  const std::string broken = BrokenFile(spec.upper_dir);
  if (::unlink(broken.c_str()) != 0 && errno != ENOENT) return Errno("remove " + broken);
  Result<UniqueFd> fuse_fd = Open("/dev/fuse", O_RDWR);
  if (!fuse_fd.ok()) {
    return Error(Code::kUnsupported, "no FUSE here: " + fuse_fd.error().message(),
                 fuse_fd.error().sys_errno());
  }
  ASSIGN_OR_RETURN(UniqueFd mount, MountConnection(fuse_fd->get(), spec));
  RETURN_IF_ERROR(StartServer({.argv = ServerCommand(spec, layerfs_binary),
                               .log_path = spec.upper_dir + ".log",
                               .fuse_fd = std::move(*fuse_fd),
                               .kept = std::move(lock)},
                              deadline),
                  "fuse driver at " + spec.upper_dir);
  return mount;
}

}  // namespace strata::layerfs
