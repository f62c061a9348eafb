#include "layerfs/root.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>

#include "common/file_io.h"
#include "common/xattr.h"
#include "imaged/manifest/erofs_reader.h"
#include "layerfs/acl_shift.h"
#include "layerfs/fuse_launch.h"
#include "layerfs/kernel_root.h"
#include "layerfs/object_mount.h"
#include "layerfs/sample_root.h"
#include "layerfs/tree_mounts.h"
#include "layerfs/upper_lock.h"

namespace strata::layerfs {
namespace {

// The root directory of the tree as the upper must store it: ids shifted, foreign attributes of
// overlayfs escaped.
struct RootDirectory {
  uint32_t mode = 0755;
  uint32_t uid = 0;
  uint32_t gid = 0;
  timespec mtime = {};
  std::vector<Xattr> xattrs;
};

Result<uint32_t> Shifted(uint32_t id, const std::optional<IdShift>& shift) {
  if (!shift.has_value()) return id;
  if (id < shift->count) return shift->first_id + id;
  return Error(Code::kInvalidArgument, "the image's root directory belongs to id " +
                                           std::to_string(id) + ", which the container has not");
}

Result<RootDirectory> ReadRootDirectory(const RootSpec& spec) {
  ASSIGN_OR_RETURN(const auto reader, imaged::ErofsReader::Open(spec.tree_path));
  ASSIGN_OR_RETURN(const imaged::ErofsInode inode, reader->GetInode(reader->root()));
  RootDirectory root;
  root.mode = inode.mode & 07777;
  ASSIGN_OR_RETURN(root.uid, Shifted(inode.uid, spec.id_shift));
  ASSIGN_OR_RETURN(root.gid, Shifted(inode.gid, spec.id_shift));
  root.mtime = {.tv_sec = inode.mtime_s, .tv_nsec = static_cast<long>(inode.mtime_ns)};
  ASSIGN_OR_RETURN(root.xattrs, reader->GetXattrs(reader->root()));
  for (Xattr& xattr : root.xattrs) {
    if (spec.id_shift.has_value()) RETURN_IF_ERROR(ShiftAclIds(*spec.id_shift, &xattr));
    xattr.name = imaged::EscapeXattrName(xattr.name);
  }
  return root;
}

Status DressDirectory(const std::string& path, const RootDirectory& root) {
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (::fchown(fd.get(), root.uid, root.gid) != 0) return Errno("chown " + path);
  for (const Xattr& xattr : root.xattrs) {
    RETURN_IF_ERROR(SetXattr(fd.get(), xattr.name, xattr.value), path);
  }
  if (::fchmod(fd.get(), root.mode) != 0) return Errno("chmod " + path);
  const timespec times[2] = {root.mtime, root.mtime};
  if (::futimens(fd.get(), times) != 0) return Errno("set the times of " + path);
  return Ok();
}

// Finished under another name first: a directory called `path` is always complete.
Status CreateDressed(const std::string& path, const RootDirectory& root) {
  const std::string temporary = path + ".new";
  if (::mkdir(temporary.c_str(), 0700) != 0 && errno != EEXIST) return Errno("mkdir " + temporary);
  RETURN_IF_ERROR(DressDirectory(temporary, root));
  if (::rename(temporary.c_str(), path.c_str()) != 0) return Errno("rename to " + path);
  return Ok();
}

}  // namespace

std::string_view DriverName(Driver driver) { return driver == Driver::kKernel ? "kernel" : "fuse"; }

Result<Driver> ParseDriver(std::string_view name) {
  for (const Driver driver : {Driver::kKernel, Driver::kFuse}) {
    if (name == DriverName(driver)) return driver;
  }
  return Error(Code::kInvalidArgument,
               "no driver is called '" + std::string(name) + "': use kernel or fuse");
}

uint64_t RootAttributes(const RootSpec& spec) {
  return spec.id_shift.has_value() ? MOUNT_ATTR_NODEV : 0;
}

Status PrepareUpper(const RootSpec& spec) {
  if (!PathExists(spec.work_dir)) {
    RootDirectory work;
    ASSIGN_OR_RETURN(work.uid, Shifted(0, spec.id_shift));
    work.gid = work.uid;
    RETURN_IF_ERROR(CreateDressed(spec.work_dir, work));
  }
  if (PathExists(spec.upper_dir)) return Ok();
  ASSIGN_OR_RETURN(const RootDirectory root, ReadRootDirectory(spec));
  return CreateDressed(spec.upper_dir, root);
}

Result<UniqueFd> MountRoot(Driver driver, const RootSpec& spec, const std::string& layerfs_binary) {
  ASSIGN_OR_RETURN(const RootSpec settled, SettleObjects(driver, spec));
  if (driver == Driver::kFuse) return MountFuseRoot(settled, layerfs_binary);
  RETURN_IF_ERROR(WaitUntilUpperFree(spec.upper_dir));
  return MountKernelRoot(settled);
}

Result<UniqueFd> MountRoot(Driver driver, const RootSpec& spec, TreeMounts& trees,
                           const std::string& layerfs_binary) {
  if (driver == Driver::kFuse) return MountRoot(driver, spec, layerfs_binary);
  ASSIGN_OR_RETURN(const RootSpec settled, SettleObjects(driver, spec));
  RETURN_IF_ERROR(WaitUntilUpperFree(spec.upper_dir));
  return MountKernelRoot(settled, trees);
}

std::optional<std::string> BrokenReason(const std::string& upper_dir) {
  Result<std::string> reason = ReadFile(BrokenFile(upper_dir), 4096);
  if (!reason.ok()) return std::nullopt;
  while (!reason->empty() && reason->back() == '\n') reason->pop_back();
  return std::move(*reason);
}

Result<Driver> PickDriver(const std::string& state_dir) {
  ASSIGN_OR_RETURN(const SampleRoot sample, SampleRoot::Create(state_dir), "pick a driver");
  Status kernel = CheckKernelDriver(sample);
  if (kernel.ok()) return Driver::kKernel;
  const auto fuse = Open("/dev/fuse", O_RDWR);
  if (fuse.ok()) return Driver::kFuse;
  return Error(Code::kUnsupported,
               "neither driver works here: kernel: " + kernel.error().message() +
                   "; fuse: " + fuse.error().message());
}

}  // namespace strata::layerfs
