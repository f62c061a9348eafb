#include "layerfs/volume/ext4.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "common/capability.h"
#include "common/file_io.h"
#include "common/mount.h"
#include "common/subprocess.h"
#include "common/xattr.h"

namespace strata::layerfs {
namespace {

constexpr uint64_t kBlockBytes = 4096;
constexpr uint64_t kMiB = 1ull << 20;
constexpr char kLimitXattr[] = "trusted.strata.limit";
// fs/ext4/ext4.h; no header for user space has it.
constexpr unsigned long kResizeIoctl = _IOW('f', 16, uint64_t);
constexpr uint64_t kInodeBytes = 256;
constexpr uint64_t kBytesPerInode = 8192;  // A container's files are small.
constexpr uint64_t kJournalMiB = 8;
constexpr uint64_t kHeadroom = 4;
// What ext4 itself withholds for extents that must be split when it is full: a fiftieth, at most
// this (ext4_set_resv_clusters).
constexpr uint64_t kOwnReserveMax = 4096;

Result<struct statvfs> StatFileSystem(const std::string& path) {
  struct statvfs st;
  if (::statvfs(path.c_str(), &st) != 0) return Errno("statfs " + path);
  return st;
}

// "loop3", "dm-7": how sysfs calls the device of the file system.
Result<std::string> DeviceName(const std::string& mountpoint) {
  struct stat st;
  if (::stat(mountpoint.c_str(), &st) != 0) return Errno("stat " + mountpoint);
  const std::string link =
      "/sys/dev/block/" + std::to_string(major(st.st_dev)) + ":" + std::to_string(minor(st.st_dev));
  char target[1024];
  const ssize_t n = ::readlink(link.c_str(), target, sizeof(target));
  if (n <= 0 || n == sizeof(target)) return Errno("readlink " + link);
  const std::string path(target, static_cast<size_t>(n));
  return path.substr(path.rfind('/') + 1);
}

Status Withhold(const std::string& mountpoint, uint64_t blocks) {
  ASSIGN_OR_RETURN(const std::string device, DeviceName(mountpoint));
  const std::string path = "/sys/fs/ext4/" + device + "/reserved_clusters";
  ASSIGN_OR_RETURN(const UniqueFd fd, Open(path, O_WRONLY), "limit of " + mountpoint);
  return WriteAll(fd.get(), std::to_string(blocks) + "\n");
}

// nullopt: none is recorded.
Result<std::optional<uint64_t>> RecordedLimit(int root, const std::string& mountpoint) {
  const auto text = GetXattr(root, kLimitXattr);
  if (!text.ok()) {
    if (text.error().code() == Code::kNotFound) return std::optional<uint64_t>();
    return text.error();
  }
  uint64_t limit = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), limit);
  if (error != std::errc() || end != text->data() + text->size()) {
    return Error(Code::kCorrupt, mountpoint + ": " + kLimitXattr + " is no number");
  }
  return std::optional<uint64_t>(limit);
}

Error MountError(const Error& error, const std::string& backing) {
  switch (error.sys_errno()) {
    case EINVAL:
    case EIO:
    case EUCLEAN:
    case EBADMSG:
    case ENODATA:
    case EFBIG:
      return Error(Code::kCorrupt,
                   backing + " cannot be mounted: " + error.message() +
                       "; stop what uses it and try: fsck.ext4 -f " + backing,
                   error.sys_errno());
    case ENODEV:
      return Error(Code::kUnsupported, "this kernel has no ext4", error.sys_errno());
    default:
      return error.Wrap(backing);
  }
}

}  // namespace

bool MayGrowExt4Online() { return HasCapability(CAP_SYS_RESOURCE); }

uint64_t Ext4BytesFor(uint64_t limit_bytes) {
  // Tables of inodes, bitmaps, the journal, and the reserve of ext4 itself.
  const auto whole = [](uint64_t data) {
    const uint64_t overhead = data / (kBytesPerInode / kInodeBytes) + data / 1024;
    return data + overhead + overhead / 16 + kJournalMiB * kMiB + kOwnReserveMax * kBlockBytes;
  };
  const uint64_t bytes = whole(MayGrowExt4Online() ? limit_bytes : limit_bytes * kHeadroom);
  return (bytes + kMiB - 1) / kMiB * kMiB;
}

Status MakeExt4(const std::string& path) {
  // No resize inode, whose reserved blocks would be written (4 MiB per image), nor copies of all
  // group descriptors (1 MiB for 160 GiB): meta_bg needs neither to grow. Large flexible groups
  // keep what is written together. Nothing for root: the limit is the same for all.
  const auto made = RunChecked({"mke2fs",
                                "-q",
                                "-F",
                                "-t",
                                "ext4",
                                "-b",
                                std::to_string(kBlockBytes),
                                "-m",
                                "0",
                                "-i",
                                std::to_string(kBytesPerInode),
                                "-I",
                                std::to_string(kInodeBytes),
                                "-J",
                                "size=" + std::to_string(kJournalMiB),
                                "-O",
                                "^resize_inode,meta_bg,metadata_csum,64bit",
                                "-G",
                                "256",
                                "-E",
                                "assume_storage_prezeroed=1,nodiscard,root_owner=0:0",
                                path});
  if (!made.ok()) return made.error().Wrap("make a file system on " + path);
  return Ok();
}

Result<UniqueFd> MountExt4(const std::string& device, Ext4Access access,
                           const std::string& backing) {
  MountSpec spec{.type = "ext4",
                 .options = {{"source", device}, {"noinit_itable", ""}, {"errors", "remount-ro"}},
                 .attributes = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME};
  if (access == Ext4Access::kSnapshot) {
    spec.options.push_back({"ro", ""});
    spec.attributes |= MOUNT_ATTR_RDONLY;
  } else {
    spec.options.push_back({"discard", ""});  // What is deleted goes back to the host.
  }
  Result<UniqueFd> mount = CreateDetachedMount(spec);
  if (!mount.ok()) return MountError(mount.error(), backing);
  return mount;
}

Result<uint64_t> Ext4Capacity(const std::string& mountpoint) {
  ASSIGN_OR_RETURN(const struct statvfs st, StatFileSystem(mountpoint));
  const uint64_t own = std::min<uint64_t>(st.f_blocks / 50, kOwnReserveMax);
  return (st.f_blocks - own) * st.f_frsize;
}

Status ApplyExt4Limit(const std::string& mountpoint) {
  ASSIGN_OR_RETURN(const UniqueFd root, Open(mountpoint, O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const std::optional<uint64_t> limit, RecordedLimit(root.get(), mountpoint));
  if (!limit.has_value()) return Ok();
  ASSIGN_OR_RETURN(const struct statvfs st, StatFileSystem(mountpoint));
  const uint64_t own = std::min<uint64_t>(st.f_blocks / 50, kOwnReserveMax);
  const uint64_t blocks = *limit / st.f_frsize;
  return Withhold(mountpoint, std::max(own, st.f_blocks - std::min<uint64_t>(st.f_blocks, blocks)));
}

Status SetExt4Limit(const std::string& mountpoint, uint64_t limit_bytes) {
  ASSIGN_OR_RETURN(const uint64_t capacity, Ext4Capacity(mountpoint));
  if (limit_bytes > capacity) {
    return Error(Code::kInternal,
                 mountpoint + " holds only " + std::to_string(capacity) + " bytes");
  }
  {
    ASSIGN_OR_RETURN(const UniqueFd root, Open(mountpoint, O_RDONLY | O_DIRECTORY));
    RETURN_IF_ERROR(SetXattr(root.get(), kLimitXattr, std::to_string(limit_bytes)), mountpoint);
    if (::fsync(root.get()) != 0) return Errno("fsync " + mountpoint);
  }
  return ApplyExt4Limit(mountpoint);
}

Result<VolumeUsage> Ext4Usage(const std::string& mountpoint) {
  ASSIGN_OR_RETURN(const UniqueFd root, Open(mountpoint, O_RDONLY | O_DIRECTORY));
  struct statvfs st;
  if (::fstatvfs(root.get(), &st) != 0) return Errno("statfs " + mountpoint);
  ASSIGN_OR_RETURN(const std::optional<uint64_t> limit, RecordedLimit(root.get(), mountpoint));
  if (!limit.has_value()) {
    return Error(Code::kFailedPrecondition, mountpoint + ": no volume is mounted here");
  }
  VolumeUsage usage;
  usage.used_bytes = (st.f_blocks - st.f_bfree) * st.f_frsize;
  usage.limit_bytes = *limit;
  usage.used_inodes = st.f_files - st.f_ffree;
  usage.limit_inodes = st.f_files;
  return usage;
}

Status GrowMountedExt4(const std::string& mountpoint, uint64_t size_bytes) {
  ASSIGN_OR_RETURN(const UniqueFd root, Open(mountpoint, O_RDONLY | O_DIRECTORY));
  uint64_t blocks = size_bytes / kBlockBytes;
  if (::ioctl(root.get(), kResizeIoctl, &blocks) == 0) return Ok();
  if (errno == EPERM) {
    return Error(Code::kUnsupported,
                 "the file system of a running node cannot grow that far without "
                 "CAP_SYS_RESOURCE: stop the node first",
                 EPERM);
  }
  return Errno("grow " + mountpoint);
}

Status GrowUnmountedExt4(const std::string& path) {
  // 1: faults were found and repaired.
  ASSIGN_OR_RETURN(const CommandOutput checked, Run({"e2fsck", "-f", "-p", path}));
  if (checked.exit_code > 1) {
    return Error(Code::kCorrupt, path + " is damaged; try: fsck.ext4 -f " + path);
  }
  const auto grown = RunChecked({"resize2fs", path});
  if (!grown.ok()) return grown.error().Wrap("grow " + path);
  return Ok();
}

}  // namespace strata::layerfs
