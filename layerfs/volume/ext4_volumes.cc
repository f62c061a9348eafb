#include "layerfs/volume/ext4_volumes.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>

#include "common/file_io.h"
#include "common/log.h"
#include "common/mount.h"
#include "layerfs/volume/volume_names.h"

namespace strata::layerfs {
namespace {

constexpr std::chrono::milliseconds kCloseWait(500);
constexpr int kClosePauseMs = 5;

// A process that ends closes one descriptor after the other, and the kernel tells nobody of the
// last: a short while of "in use" is waited out.
Status UnmountUnused(const std::string& path) {
  const auto deadline = std::chrono::steady_clock::now() + kCloseWait;
  while (true) {
    Status status = Unmount(path);
    if (status.ok() || status.error().sys_errno() != EBUSY) return status;
    if (std::chrono::steady_clock::now() >= deadline) return status;
    ::poll(nullptr, 0, kClosePauseMs);
  }
}

}  // namespace

// Mounted at <mount_dir>/.snapshot-<volume>.
class Ext4Snapshot final : public VolumeSnapshot {
 public:
  Ext4Snapshot(Ext4Volumes& store, std::string name)
      : store_(store), name_(std::move(name)), path_(store.MountPointOf(name_)) {}
  ~Ext4Snapshot() override {
    Status gone = store_.UnmountAt(name_);
    if (gone.ok()) gone = store_.DeleteDevice(name_);
    if (!gone.ok()) LOG_WARNING("a snapshot stays behind: " + gone.error().message());
  }
  const std::string& path() const override { return path_; }

 private:
  Ext4Volumes& store_;
  const std::string name_;
  const std::string path_;
};

Ext4Volumes::~Ext4Volumes() {
  // Refused while a volume is mounted below it, and then it stays for whoever takes over.
  [[maybe_unused]] const Status unmounted = Unmount(options_.mount_dir);
}

Status Ext4Volumes::PrepareMountDir() {
  RETURN_IF_ERROR(MakeDirectories(options_.mount_dir, 0700));
  return MakePrivateMountPoint(options_.mount_dir);
}

Result<bool> Ext4Volumes::IsActive(const std::string& name) const {
  const std::string path = MountPointOf(name);
  if (!PathExists(path)) return false;
  return IsMountPoint(path);
}

Status Ext4Volumes::MountAt(const std::string& name, Ext4Access access) {
  ASSIGN_OR_RETURN(const Device device, OpenDevice(name));
  ASSIGN_OR_RETURN(const UniqueFd mount, MountExt4(device.path, access, device.backing),
                   "volume " + name);
  const std::string path = MountPointOf(name);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Errno("mkdir " + path);
  return AttachMount(mount.get(), path);
}

Status Ext4Volumes::UnmountAt(const std::string& name) {
  const std::string path = MountPointOf(name);
  if (Status status = UnmountUnused(path); !status.ok()) {
    if (status.error().sys_errno() != EBUSY) return status;
    return Error(Code::kFailedPrecondition, "volume " + name + " is in use (" + path + ")", EBUSY);
  }
  if (::rmdir(path.c_str()) != 0 && errno != ENOENT) return Errno("rmdir " + path);
  return CloseDevice(name);
}

Status Ext4Volumes::CheckStillMounted(const std::string& name) {
  struct stat st;
  if (::stat(MountPointOf(name).c_str(), &st) != 0) return Errno(MountPointOf(name));
  return CheckMounted(name, st.st_dev);
}

Result<std::string> Ext4Volumes::Activate(const std::string& name) {
  RETURN_IF_ERROR(CheckVolumeName(name));
  const std::string path = MountPointOf(name);
  ASSIGN_OR_RETURN(const bool active, IsActive(name));
  if (active) {
    RETURN_IF_ERROR(CheckStillMounted(name));
    return path;
  }
  if (Status mounted = MountAt(name, Ext4Access::kReadWrite); !mounted.ok()) {
    ::rmdir(path.c_str());
    return mounted.error();
  }
  if (Status limited = ApplyExt4Limit(path); !limited.ok()) {
    if (Status undone = UnmountAt(name); !undone.ok()) LOG_WARNING(undone.error().message());
    return limited.error();
  }
  return path;
}

Status Ext4Volumes::Deactivate(const std::string& name) {
  RETURN_IF_ERROR(CheckVolumeName(name));
  if (!PathExists(MountPointOf(name))) return Ok();
  return UnmountAt(name);
}

Status Ext4Volumes::RecordLimit(const Device& device, const std::string& name,
                                uint64_t limit_bytes) {
  ASSIGN_OR_RETURN(const UniqueFd mount,
                   MountExt4(device.path, Ext4Access::kReadWrite, device.backing),
                   "volume " + name);
  const std::string path = "/proc/self/fd/" + std::to_string(mount.get());
  // Nothing that the kernel or fsck needs, and what a container may not miss.
  if (::rmdir((path + "/lost+found").c_str()) != 0 && errno != ENOENT) {
    return Errno("rmdir lost+found");
  }
  return SetExt4Limit(path, limit_bytes);
}

Result<VolumeUsage> Ext4Volumes::Usage(const std::string& name) {
  RETURN_IF_ERROR(CheckVolumeName(name));
  ASSIGN_OR_RETURN(const bool active, IsActive(name));
  if (!active) return Error(Code::kFailedPrecondition, "volume " + name + " is not active");
  return Ext4Usage(MountPointOf(name));
}

// Makes the file system itself larger.
Status Ext4Volumes::GrowActive(const std::string& name, uint64_t limit_bytes, bool was_active) {
  const uint64_t size_bytes = Ext4BytesFor(limit_bytes);
  if (was_active || MayGrowExt4Online()) {
    if (!MayGrowExt4Online()) return GrowMountedExt4(MountPointOf(name), size_bytes);  // Says why.
    RETURN_IF_ERROR(GrowDevice(name, size_bytes));
    return GrowMountedExt4(MountPointOf(name), size_bytes);
  }
  RETURN_IF_ERROR(UnmountAt(name));
  RETURN_IF_ERROR(GrowDevice(name, size_bytes));
  {
    ASSIGN_OR_RETURN(const Device device, OpenDevice(name));
    RETURN_IF_ERROR(GrowUnmountedExt4(device.path));
  }
  ASSIGN_OR_RETURN(const std::string path, Activate(name));
  return Ok();
}

Status Ext4Volumes::Resize(const std::string& name, uint64_t limit_bytes) {
  RETURN_IF_ERROR(CheckVolumeSize(limit_bytes));
  ASSIGN_OR_RETURN(const bool was_active, IsActive(name));
  ASSIGN_OR_RETURN(const std::string path, Activate(name));
  const auto resize = [&]() -> Status {
    ASSIGN_OR_RETURN(const VolumeUsage usage, Ext4Usage(path));
    if (usage.used_bytes > limit_bytes) {
      return Error(Code::kFailedPrecondition, "volume " + name + " holds " +
                                                  std::to_string(usage.used_bytes) +
                                                  " bytes already: delete something first");
    }
    ASSIGN_OR_RETURN(const uint64_t capacity, Ext4Capacity(path));
    if (limit_bytes > capacity) RETURN_IF_ERROR(GrowActive(name, limit_bytes, was_active));
    return SetExt4Limit(path, limit_bytes);
  };
  const Status resized = resize();
  if (!was_active) RETURN_IF_ERROR(Deactivate(name));
  return resized;
}

Result<std::unique_ptr<VolumeSnapshot>> Ext4Volumes::Snapshot(const std::string& name) {
  RETURN_IF_ERROR(CheckVolumeName(name));
  ASSIGN_OR_RETURN(const bool active, IsActive(name));
  if (!active) return Error(Code::kFailedPrecondition, "volume " + name + " is not active");
  const std::string snapshot = SnapshotOf(name);
  if (PathExists(MountPointOf(snapshot))) {
    return Error(Code::kFailedPrecondition, "volume " + name + " has a snapshot already");
  }
  // What was written before this call is in it; the journal makes the rest whole.
  RETURN_IF_ERROR(SyncFileSystem(MountPointOf(name)));
  RETURN_IF_ERROR(MakeSnapshot(name, snapshot));
  auto result = std::make_unique<Ext4Snapshot>(*this, snapshot);
  RETURN_IF_ERROR(MountAt(snapshot, Ext4Access::kSnapshot));
  return std::unique_ptr<VolumeSnapshot>(std::move(result));
}

Status Ext4Volumes::RecoverMounts(const std::vector<std::string>& devices,
                                  RecoveredVolumes* recovered) {
  ASSIGN_OR_RETURN(const std::vector<std::string> places, EntriesOf(options_.mount_dir));
  for (const std::string& name : places) {
    const bool known = std::binary_search(devices.begin(), devices.end(), name);
    ASSIGN_OR_RETURN(const bool mounted, IsActive(name));
    if (known && !IsLeftover(name)) {
      // An empty place without a mount: the host was restarted.
      if (!mounted) ::rmdir(MountPointOf(name).c_str());
      continue;
    }
    if (Status gone = UnmountAt(name); gone.ok()) {
      recovered->removed.push_back("mount " + name);
    } else {
      // What a node still uses; its data can be read and saved as long as it runs.
      const Status lost = CheckStillMounted(name);
      recovered->problems.push_back({name, (lost.ok() ? gone : lost).error().message()});
    }
  }
  return Ok();
}

Result<RecoveredVolumes> Ext4Volumes::Recover() {
  RecoveredVolumes recovered;
  ASSIGN_OR_RETURN(std::vector<std::string> devices, ListDevices());
  std::sort(devices.begin(), devices.end());
  RETURN_IF_ERROR(RecoverMounts(devices, &recovered));
  for (const std::string& name : devices) {
    if (IsLeftover(name)) {
      // A program that the dead daemon had started may work on it for a moment still.
      if (Status gone = DeleteDevice(name); gone.ok()) {
        recovered.removed.push_back(name);
      } else {
        recovered.problems.push_back({name, gone.error().message()});
      }
      continue;
    }
    ASSIGN_OR_RETURN(const bool active, IsActive(name));
    if (!active) continue;
    // Also sets the limit anew, should the daemon have died between mount and limit.
    const auto path = Activate(name);
    const Status usable = path.ok() ? ApplyExt4Limit(*path) : Status(path.error());
    if (!usable.ok()) recovered.problems.push_back({name, usable.error().message()});
  }
  return recovered;
}

}  // namespace strata::layerfs
