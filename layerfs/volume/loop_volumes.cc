#include "layerfs/volume/loop_volumes.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/copy_data.h"
#include "common/file_io.h"
#include "common/loop_device.h"
#include "layerfs/volume/volume_names.h"

namespace strata::layerfs {
namespace {

constexpr char kSuffix[] = ".ext4";
constexpr char kTemplatePrefix[] = ".template-";
constexpr uint32_t kDeviceBlockBytes = 4096;

}  // namespace

std::string LoopVolumes::ImageOf(const std::string& name) const {
  return options_.directory + "/" + name + kSuffix;
}

Result<std::unique_ptr<VolumeStore>> LoopVolumes::Open(VolumeOptions options) {
  RETURN_IF_ERROR(MakeDirectories(options.directory, 0700));
  // The kernel names images so.
  ASSIGN_OR_RETURN(options.directory, CanonicalPath(options.directory));
  std::unique_ptr<LoopVolumes> store(new LoopVolumes(std::move(options)));
  RETURN_IF_ERROR(store->PrepareMountDir());
  return std::unique_ptr<VolumeStore>(std::move(store));
}

Status LoopVolumes::MakeTemplate(const std::string& path, uint64_t limit_bytes) {
  const std::string half_made = ImageOf(HalfMade("template"));
  ::unlink(half_made.c_str());
  ASSIGN_OR_RETURN(const UniqueFd file, strata::Open(half_made, O_RDWR | O_CREAT | O_EXCL, 0600));
  if (::ftruncate(file.get(), static_cast<off_t>(Ext4BytesFor(limit_bytes))) != 0) {
    return Errno("make " + half_made + " large");
  }
  RETURN_IF_ERROR(MakeExt4(half_made));
  {
    Device device;
    ASSIGN_OR_RETURN(LoopDevice loop, AttachLoop(file.get(), {.block_size = kDeviceBlockBytes}));
    device.path = loop.path;
    device.backing = half_made;
    RETURN_IF_ERROR(RecordLimit(device, "template", limit_bytes));
  }
  RETURN_IF_ERROR(DigHoles(file.get()));
  if (::fsync(file.get()) != 0) return Errno("fsync " + half_made);
  if (::rename(half_made.c_str(), path.c_str()) != 0) return Errno("rename to " + path);
  return Ok();
}

Result<UniqueFd> LoopVolumes::OpenTemplate(uint64_t limit_bytes) {
  // The file system's size depends on this process's rights, too.
  const std::string path = options_.directory + "/" + kTemplatePrefix +
                           std::to_string(limit_bytes) + "-" +
                           std::to_string(Ext4BytesFor(limit_bytes));
  const std::lock_guard lock(template_mutex_);
  if (!PathExists(path)) RETURN_IF_ERROR(MakeTemplate(path, limit_bytes));
  return strata::Open(path, O_RDONLY);
}

Status LoopVolumes::Create(const std::string& name, uint64_t limit_bytes) {
  RETURN_IF_ERROR(CheckVolumeName(name));
  RETURN_IF_ERROR(CheckVolumeSize(limit_bytes));
  if (PathExists(ImageOf(name))) return VolumeExists(name);
  ASSIGN_OR_RETURN(const UniqueFd pattern, OpenTemplate(limit_bytes));
  struct stat st;
  if (::fstat(pattern.get(), &st) != 0) return Errno("stat the template");
  const std::string half_made = ImageOf(HalfMade(name));
  ASSIGN_OR_RETURN(const UniqueFd image, strata::Open(half_made, O_RDWR | O_CREAT | O_TRUNC, 0600));
  const auto fill = [&]() -> Status {
    RETURN_IF_ERROR(CopyData(pattern.get(), image.get(), static_cast<uint64_t>(st.st_size)));
    if (::fdatasync(image.get()) != 0) return Errno("fdatasync");
    if (::rename(half_made.c_str(), ImageOf(name).c_str()) != 0) return Errno("rename");
    return FsyncDirectory(options_.directory);
  };
  Status filled = fill();
  if (filled.ok()) return filled;
  ::unlink(half_made.c_str());
  return filled.error().Wrap("volume " + name + ": " + ImageOf(name));
}

Result<Ext4Volumes::Device> LoopVolumes::OpenDevice(const std::string& name) {
  Device device;
  device.backing = ImageOf(name);
  auto image = strata::Open(device.backing, O_RDWR);
  if (!image.ok()) {
    if (image.error().sys_errno() == ENOENT) return NoSuchVolume(name, device.backing);
    return image.error().Wrap("volume " + name);
  }
  // A node that is just ending, or a namespace that somebody cloned, may still hold a device of it:
  // two devices of one image would each have a page cache of their own.
  ASSIGN_OR_RETURN(auto loop, FindLoop(image->get(), name + kSuffix));
  if (!loop.has_value()) {
    ASSIGN_OR_RETURN(
        loop, AttachLoop(image->get(), {.direct_io = true, .block_size = kDeviceBlockBytes}));
  }
  device.path = loop->path;
  device.keep = std::move(loop->fd);
  return device;
}

Status LoopVolumes::CloseDevice(const std::string&) { return Ok(); }  // It frees itself.

Status LoopVolumes::CheckMounted(const std::string& name, dev_t device) {
  const auto file = LoopFileOf(device);
  if (file.ok() && *file == ImageOf(name)) return Ok();
  if (file.ok() && file->starts_with(ImageOf(name))) {
    return Error(Code::kNotFound, "volume " + name + ": its image " + ImageOf(name) +
                                      " was deleted while in use; save the node, then delete it");
  }
  return Error(Code::kFailedPrecondition,
               MountPointOf(name) + " is in use: something else is mounted there", EBUSY);
}

Status LoopVolumes::GrowDevice(const std::string& name, uint64_t size_bytes) {
  ASSIGN_OR_RETURN(const UniqueFd image, strata::Open(ImageOf(name), O_RDWR));
  struct stat st;
  if (::fstat(image.get(), &st) != 0) return Errno("stat " + ImageOf(name));
  if (static_cast<uint64_t>(st.st_size) < size_bytes) {
    if (::ftruncate(image.get(), static_cast<off_t>(size_bytes)) != 0) {
      return Errno("make " + ImageOf(name) + " larger");
    }
    if (::fsync(image.get()) != 0) return Errno("fsync " + ImageOf(name));
  }
  ASSIGN_OR_RETURN(const auto loop, FindLoop(image.get(), name + kSuffix));
  if (loop.has_value()) return RefreshLoopSize(*loop);
  return Ok();
}

Status LoopVolumes::MakeSnapshot(const std::string& name, const std::string& snapshot) {
  ASSIGN_OR_RETURN(const UniqueFd image, strata::Open(ImageOf(name), O_RDONLY));
  ASSIGN_OR_RETURN(const UniqueFd copy,
                   strata::Open(ImageOf(snapshot), O_RDWR | O_CREAT | O_EXCL, 0600));
  if (::ioctl(copy.get(), FICLONE, image.get()) == 0) return Ok();
  const int error = errno;
  ::unlink(ImageOf(snapshot).c_str());
  if (error == EOPNOTSUPP || error == EINVAL || error == ENOTTY) {
    return Error(Code::kUnsupported,
                 "volume " + name + ": snapshots of images need reflinks (xfs or btrfs)", error);
  }
  return Errno("reflink " + ImageOf(name), error);
}

Status LoopVolumes::DeleteDevice(const std::string& name) {
  if (::unlink(ImageOf(name).c_str()) != 0 && errno != ENOENT) {
    return Errno("unlink " + ImageOf(name));
  }
  return Ok();
}

Status LoopVolumes::Remove(const std::string& name) {
  RETURN_IF_ERROR(Deactivate(name));
  RETURN_IF_ERROR(DeleteDevice(name));
  return FsyncDirectory(options_.directory);
}

Result<std::vector<std::string>> LoopVolumes::List() {
  return VolumesIn(options_.directory, kSuffix);
}

Result<std::vector<std::string>> LoopVolumes::ListDevices() {
  ASSIGN_OR_RETURN(std::vector<std::string> devices, List());
  ASSIGN_OR_RETURN(const std::vector<std::string> entries, EntriesOf(options_.directory));
  for (const std::string& entry : entries) {
    if (IsLeftover(entry) && entry.ends_with(kSuffix)) {
      devices.push_back(entry.substr(0, entry.size() + 1 - sizeof(kSuffix)));
    }
  }
  return devices;
}

}  // namespace strata::layerfs
