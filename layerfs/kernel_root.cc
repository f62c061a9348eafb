#include "layerfs/kernel_root.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include <cstring>
#include <thread>

#include "common/file_io.h"
#include "common/loop_device.h"
#include "common/mount.h"

// <sys/mount.h> clashes with <linux/mount.h> on some releases.
extern "C" int mount(const char* source, const char* target, const char* type, unsigned long flags,
                     const void* data) noexcept;

namespace strata::layerfs {
namespace {

constexpr unsigned long kRecursivePrivate = 0x4000 | (1ul << 18);  // MS_REC | MS_PRIVATE

std::string ProcPath(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

Result<UniqueFd> MountErofs(const std::string& source) {
  return CreateDetachedMount({.type = "erofs",
                              .options = {{"source", source}, {"ro", ""}},
                              .attributes = MOUNT_ATTR_RDONLY});
}

// What EROFS says of an image that is not one, told as what it means.
Error TreeError(const Error& error, const std::string& path) {
  switch (error.sys_errno()) {
    case EINVAL:
    case EUCLEAN:
    case EBADMSG:
    case EIO:
      return Error(Code::kCorrupt, path + ": no valid tree: " + error.message(), error.sys_errno());
    case ENODEV:
      return Error(Code::kUnsupported, path + ": this kernel has no EROFS", error.sys_errno());
    default:
      return error.Wrap(path);
  }
}

Result<UniqueFd> MountLoopErofs(int file) {
  ASSIGN_OR_RETURN(const LoopDevice loop, AttachLoop(file, {.read_only = true}));
  return MountErofs(loop.path);  // The mount holds the device from here on.
}

struct LayerFds {
  UniqueFd objects;
  UniqueFd object_mount;  // Valid when there is one.
  UniqueFd upper;
  UniqueFd work;
};

Result<LayerFds> OpenLayers(const RootSpec& spec) {
  constexpr int kFlags = O_PATH | O_DIRECTORY;
  LayerFds fds;
  ASSIGN_OR_RETURN(fds.objects, Open(spec.objects_dir, kFlags));
  if (spec.object_mount.has_value()) {
    ASSIGN_OR_RETURN(fds.object_mount, Open(spec.object_mount->mountpoint, kFlags));
  }
  ASSIGN_OR_RETURN(fds.upper, Open(spec.upper_dir, kFlags));
  ASSIGN_OR_RETURN(fds.work, Open(spec.work_dir, kFlags));
  return fds;
}

const std::vector<MountOption>& UnionOptions() {
  static const std::vector<MountOption> options = {{"source", "strata"},   {"metacopy", "on"},
                                                   {"redirect_dir", "on"}, {"index", "on"},
                                                   {"nfs_export", "off"},  {"xino", "off"}};
  return options;
}

Error UnionError(const Error& error, const RootSpec& spec) {
  const std::string what = "kernel driver at " + spec.upper_dir;
  switch (error.sys_errno()) {
    case EBUSY:
      return Error(Code::kFailedPrecondition,
                   what + ": the upper or work directory is in use (" + error.message() + ")",
                   EBUSY);
    case ESTALE:
      return Error(Code::kFailedPrecondition,
                   what + ": the upper belongs to another image (" + error.message() + ")", ESTALE);
    case EINVAL:
    case EBADF:
    case ENODEV:
    case EOPNOTSUPP:
      return Error(Code::kUnsupported,
                   what + ": this kernel or file system cannot (" + error.message() + ")",
                   error.sys_errno());
    default:
      return error.Wrap(what);
  }
}

// overlayfs does not fail when it cannot use its work directory: it mounts read-only.
Result<UniqueFd> CheckWritable(Result<UniqueFd> mount) {
  if (!mount.ok()) return mount;
  struct statvfs st;
  if (::fstatvfs(mount->get(), &st) != 0) return Errno("statfs of the union");
  if ((st.f_flag & ST_RDONLY) != 0) {
    return Error(Code::kFailedPrecondition,
                 "overlayfs mounted read-only: it cannot write to the work directory", EROFS);
  }
  return mount;
}

Result<UniqueFd> MountDetachedUnion(int tree_mount, const RootSpec& spec) {
  ASSIGN_OR_RETURN(const LayerFds fds, OpenLayers(spec));
  MountSpec overlay{
      .type = "overlay", .options = UnionOptions(), .attributes = RootAttributes(spec)};
  overlay.options.push_back({"lowerdir+", "", tree_mount});
  // Asked in this order, when a file is first opened.
  overlay.options.push_back({"datadir+", "", fds.objects.get()});
  if (fds.object_mount.valid()) {
    overlay.options.push_back({"datadir+", "", fds.object_mount.get()});
  }
  overlay.options.push_back({"upperdir", "", fds.upper.get()});
  overlay.options.push_back({"workdir", "", fds.work.get()});
  return CheckWritable(CreateDetachedMount(overlay));
}

// Runs in a thread whose mount namespace is its own: nothing here is seen by anybody, and the
// attached tree goes with the namespace. Layers must be looked up here: overlayfs accepts only
// mounts of the caller's namespace.
Result<UniqueFd> AssembleUnion(int tree_mount, const RootSpec& spec) {
  if (::unshare(CLONE_FS | CLONE_NEWNS) != 0) return Errno("unshare the mount namespace");
  if (::mount("none", "/", nullptr, kRecursivePrivate, nullptr) != 0) {
    return Errno("make mounts private");
  }
  ASSIGN_OR_RETURN(const LayerFds fds, OpenLayers(spec));
  // Any directory serves as the place; the upper's own descriptor is below this mount already.
  RETURN_IF_ERROR(AttachMount(tree_mount, spec.upper_dir));
  ASSIGN_OR_RETURN(const UniqueFd tree, Open(spec.upper_dir, O_PATH | O_DIRECTORY));
  MountSpec overlay{
      .type = "overlay", .options = UnionOptions(), .attributes = RootAttributes(spec)};
  std::string lower = ProcPath(tree.get()) + "::" + ProcPath(fds.objects.get());
  if (fds.object_mount.valid()) lower += "::" + ProcPath(fds.object_mount.get());
  overlay.options.push_back({"lowerdir", lower});
  overlay.options.push_back({"upperdir", ProcPath(fds.upper.get())});
  overlay.options.push_back({"workdir", ProcPath(fds.work.get())});
  return CheckWritable(CreateDetachedMount(overlay));
}

Result<UniqueFd> MountUnionInPrivateNamespace(int tree_mount, const RootSpec& spec) {
  Result<UniqueFd> mount = Error(Code::kInternal, "the helper thread did not run");
  std::thread([&] { mount = AssembleUnion(tree_mount, spec); }).join();
  return mount;
}

// True for what older kernels say of layers given as descriptors of detached mounts: 6.13 and 6.14
// that they are of no namespace, before that options took no O_PATH descriptors.
bool LacksDetachedLayers(const Error& error) {
  return error.sys_errno() == EINVAL || error.sys_errno() == EBADF;
}

}  // namespace

Result<UniqueFd> MountTree(const std::string& tree_path, TreeBacking backing) {
  ASSIGN_OR_RETURN(const UniqueFd file, Open(tree_path, O_RDONLY));
  if (backing != TreeBacking::kLoop) {
    // The path says more in /proc/mounts, but fsconfig(2) takes 255 bytes at most.
    const bool fits = tree_path.size() < 256 && tree_path.front() == '/';
    Result<UniqueFd> mount = MountErofs(fits ? tree_path : ProcPath(file.get()));
    if (mount.ok()) return mount;
    if (mount.error().sys_errno() != ENOTBLK) return TreeError(mount.error(), tree_path);
    if (backing == TreeBacking::kFile) {
      return Error(Code::kUnsupported, "this kernel mounts EROFS from block devices only", ENOTBLK);
    }
  }
  Result<UniqueFd> mount = MountLoopErofs(file.get());
  if (!mount.ok()) return TreeError(mount.error(), tree_path);
  return mount;
}

Result<UniqueFd> CloneTree(int tree_mount, const std::optional<IdShift>& shift) {
  if (shift.has_value()) return CloneMountIdShifted(tree_mount, shift->first_id, shift->count);
  UniqueFd clone(static_cast<int>(::syscall(SYS_open_tree, tree_mount, "",
                                            OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)));
  if (!clone.valid()) return Errno("clone a tree mount");
  return clone;
}

Result<UniqueFd> MountUnion(int tree_mount, const RootSpec& spec, LayerLookup lookup) {
  if (lookup != LayerLookup::kPrivateNamespace) {
    Result<UniqueFd> mount = MountDetachedUnion(tree_mount, spec);
    if (mount.ok()) return mount;
    if (lookup == LayerLookup::kDetached || !LacksDetachedLayers(mount.error())) {
      return UnionError(mount.error(), spec);
    }
  }
  Result<UniqueFd> mount = MountUnionInPrivateNamespace(tree_mount, spec);
  if (!mount.ok()) return UnionError(mount.error(), spec);
  return mount;
}

Result<UniqueFd> MountKernelRoot(const RootSpec& spec, TreeBacking backing, LayerLookup lookup) {
  ASSIGN_OR_RETURN(const UniqueFd tree, MountTree(spec.tree_path, backing));
  if (spec.id_shift.has_value()) {
    RETURN_IF_ERROR(ShiftMountIds(tree.get(), spec.id_shift->first_id, spec.id_shift->count),
                    spec.tree_path);
  }
  return MountUnion(tree.get(), spec, lookup);
}

}  // namespace strata::layerfs
