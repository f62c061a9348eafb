#include "layerfs/object_mount.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include <vector>

#include "common/file_io.h"
#include "common/log.h"
#include "common/mount.h"
#include "common/parallel.h"
#include "imaged/manifest/tree_objects.h"
#include "layerfs/fuse_launch.h"
#include "layerfs/server_process.h"

namespace strata::layerfs {
namespace {

constexpr std::chrono::seconds kReadyWithin(20);
constexpr size_t kDefectsToldMax = 10;  // Lines of the log per mount.
constexpr size_t kRepairsAtOnce = 8;

enum class MountState { kNone, kServed, kDead };

Result<MountState> StateOf(const std::string& mountpoint) {
  struct statfs st;
  if (::statfs(mountpoint.c_str(), &st) == 0) {
    return st.f_type == FUSE_SUPER_MAGIC ? MountState::kServed : MountState::kNone;
  }
  if (errno == ENOTCONN || errno == ECONNABORTED) return MountState::kDead;
  if (errno == ENOENT) return MountState::kNone;
  return Errno("look at the object mount " + mountpoint);
}

Status StartObjectMount(const ObjectMountSpec& spec, const std::string& objects_dir) {
  Result<UniqueFd> fuse_fd = Open("/dev/fuse", O_RDWR);
  if (!fuse_fd.ok()) {
    return Error(Code::kUnsupported, "no FUSE here: " + fuse_fd.error().message(),
                 fuse_fd.error().sys_errno());
  }
  ASSIGN_OR_RETURN(const UniqueFd mount,
                   CreateDetachedMount({.type = "fuse",
                                        .options = {{"source", "strata-objects"},
                                                    {"subtype", "layerfs-objects"},
                                                    {"fd", std::to_string(fuse_fd->get())},
                                                    {"rootmode", "40500"},
                                                    {"user_id", "0"},
                                                    {"group_id", "0"},
                                                    {"default_permissions", ""}},
                                        .attributes = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID}));
  const std::string broken = BrokenFile(spec.mountpoint);
  if (::unlink(broken.c_str()) != 0 && errno != ENOENT) return Errno("remove " + broken);
  RETURN_IF_ERROR(
      StartServer({.argv = {spec.binary, "--fuse-fd", std::to_string(kServerFuseFd), "--ready-fd",
                            std::to_string(kServerReadyFd), "--objects", objects_dir, "--imaged",
                            spec.imaged_socket, "--broken-file", broken},
                   .log_path = spec.mountpoint + ".log",
                   .fuse_fd = std::move(*fuse_fd),
                   .kept = UniqueFd()},
                  std::chrono::steady_clock::now() + kReadyWithin));
  return AttachMount(mount.get(), spec.mountpoint);
}

void Repair(const RootSpec& spec, const std::vector<imaged::ObjectDefect>& defects) {
  std::vector<Digest> damaged;
  for (const imaged::ObjectDefect& defect : defects) {
    if (defect.found_bytes.has_value()) damaged.push_back(defect.digest);
  }
  // The others are tried even when one fails.
  const Status done = ParallelFor(
      damaged.size(),
      [&](size_t i) -> Status {
        const Status provided = ProvideObject(*spec.object_mount, spec.objects_dir, damaged[i]);
        if (!provided.ok()) LOG_WARNING(provided.error().message());
        return Ok();
      },
      kRepairsAtOnce);
  if (!done.ok()) LOG_WARNING(done.error().message());
}

void Tell(const RootSpec& spec, const std::vector<imaged::ObjectDefect>& defects) {
  if (spec.object_mount.has_value()) {
    LOG_INFO(spec.tree_path + ": " + std::to_string(defects.size()) +
             " objects are not here and are fetched when they are opened");
    return;
  }
  for (size_t i = 0; i < std::min(defects.size(), kDefectsToldMax); ++i) {
    LOG_ERROR(spec.tree_path + ": " + defects[i].Describe() + ": reading it gives EIO");
  }
  if (defects.size() > kDefectsToldMax) {
    LOG_ERROR(spec.tree_path + ": and " + std::to_string(defects.size() - kDefectsToldMax) +
              " more");
  }
}

}  // namespace

Status EnsureObjectMount(const ObjectMountSpec& spec, const std::string& objects_dir) {
  ASSIGN_OR_RETURN(const MountState seen, StateOf(spec.mountpoint));
  if (seen == MountState::kServed) return Ok();
  const size_t slash = spec.mountpoint.rfind('/');
  if (slash != std::string::npos)
    RETURN_IF_ERROR(MakeDirectories(spec.mountpoint.substr(0, slash)));
  ASSIGN_OR_RETURN(const UniqueFd lock, Open(spec.mountpoint + ".lock", O_RDWR | O_CREAT, 0600));
  while (::flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return Errno("lock " + spec.mountpoint);
  }
  ASSIGN_OR_RETURN(const MountState state, StateOf(spec.mountpoint));
  if (state == MountState::kServed) return Ok();  // Another caller was faster.
  if (state == MountState::kDead) {
    LOG_WARNING(spec.mountpoint + ": the object mount's server is gone, a new one is started");
    RETURN_IF_ERROR(Unmount(spec.mountpoint, /*lazy=*/true));
  }
  RETURN_IF_ERROR(MakeDirectories(spec.mountpoint));
  RETURN_IF_ERROR(StartObjectMount(spec, objects_dir), "object mount " + spec.mountpoint);
  return Ok();
}

Status ProvideObject(const ObjectMountSpec& spec, const std::string& objects_dir,
                     const Digest& digest) {
  RETURN_IF_ERROR(EnsureObjectMount(spec, objects_dir));
  const std::string path = spec.mountpoint + "/" + digest.ObjectPath();
  if (::setxattr(path.c_str(), kProvideXattr, "1", 1, 0) == 0) return Ok();
  return Errno("provide object " + digest.ToString());
}

Result<RootSpec> SettleObjects(Driver driver, const RootSpec& spec) {
  imaged::RepairObjects repair;
  if (spec.object_mount.has_value()) {
    repair = [&](const std::vector<imaged::ObjectDefect>& defects) { Repair(spec, defects); };
  }
  ASSIGN_OR_RETURN(const std::vector<imaged::ObjectDefect> defects,
                   imaged::EnsureTreeObjects(spec.tree_path, spec.objects_dir, repair));
  RootSpec settled = spec;
  if (defects.empty()) {
    // The fuse driver looks at every object that it opens and can still ask for a repair.
    if (driver == Driver::kKernel) settled.object_mount.reset();
    return settled;
  }
  Tell(spec, defects);
  settled.objects_missing = true;
  if (driver == Driver::kFuse) return settled;
  for (const imaged::ObjectDefect& defect : defects) {
    if (!defect.found_bytes.has_value()) continue;
    // Overlayfs would show it, cut or padded, as if it were right.
    return Error(Code::kCorrupt, spec.tree_path + ": " + defect.Describe() +
                                     ", and nothing has another copy: 'vimage fsck' says more");
  }
  if (spec.object_mount.has_value()) {
    RETURN_IF_ERROR(EnsureObjectMount(*spec.object_mount, spec.objects_dir));
  }
  return settled;
}

}  // namespace strata::layerfs
