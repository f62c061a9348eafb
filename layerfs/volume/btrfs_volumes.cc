#include "layerfs/volume/btrfs_volumes.h"

#include "common/file_io.h"
#include "common/log.h"
#include "layerfs/volume/btrfs.h"
#include "layerfs/volume/volume_names.h"

namespace strata::layerfs {
namespace {

class BtrfsSnapshot final : public VolumeSnapshot {
 public:
  BtrfsSnapshot(std::string parent, std::string name)
      : parent_(std::move(parent)), name_(std::move(name)), path_(parent_ + "/" + name_) {}
  ~BtrfsSnapshot() override {
    if (Status gone = DeleteSubvolume(parent_, name_); !gone.ok()) {
      LOG_WARNING("a snapshot stays behind: " + gone.error().message());
    }
  }
  const std::string& path() const override { return path_; }

 private:
  const std::string parent_;
  const std::string name_;
  const std::string path_;
};

}  // namespace

Result<std::unique_ptr<VolumeStore>> BtrfsVolumes::Open(VolumeOptions options) {
  RETURN_IF_ERROR(MakeDirectories(options.directory, 0700));
  RETURN_IF_ERROR(EnableBtrfsQuota(options.directory));
  return std::unique_ptr<VolumeStore>(new BtrfsVolumes(std::move(options)));
}

Status BtrfsVolumes::Create(const std::string& name, uint64_t limit_bytes) {
  RETURN_IF_ERROR(CheckVolumeName(name));
  RETURN_IF_ERROR(CheckVolumeSize(limit_bytes));
  const std::string half_made = HalfMade(name);
  const auto make = [&]() -> Status {
    RETURN_IF_ERROR(DeleteSubvolume(options_.directory, half_made));
    RETURN_IF_ERROR(CreateSubvolume(options_.directory, half_made));
    RETURN_IF_ERROR(LimitSubvolume(PathOf(half_made), limit_bytes));
    return Publish(PathOf(half_made), name);
  };
  Status made = make();
  if (made.ok()) return made;
  RETURN_IF_ERROR(DeleteSubvolume(options_.directory, half_made));
  return made.error();
}

Status BtrfsVolumes::Resize(const std::string& name, uint64_t limit_bytes) {
  RETURN_IF_ERROR(CheckVolumeSize(limit_bytes));
  ASSIGN_OR_RETURN(const std::string path, Activate(name));
  ASSIGN_OR_RETURN(const SubvolumeUsage before, UsageOfSubvolume(path));
  if (limit_bytes < before.limit_bytes) {
    RETURN_IF_ERROR(SyncFileSystem(path));  // So that all is counted.
    ASSIGN_OR_RETURN(const SubvolumeUsage usage, UsageOfSubvolume(path));
    if (usage.referenced_bytes > limit_bytes) {
      return Error(Code::kFailedPrecondition, "volume " + name + " holds " +
                                                  std::to_string(usage.referenced_bytes) +
                                                  " bytes already: delete something first");
    }
  }
  return LimitSubvolume(path, limit_bytes);
}

Result<VolumeUsage> BtrfsVolumes::Usage(const std::string& name) {
  ASSIGN_OR_RETURN(const std::string path, Activate(name));
  ASSIGN_OR_RETURN(const SubvolumeUsage usage, UsageOfSubvolume(path));
  return VolumeUsage{.used_bytes = usage.referenced_bytes, .limit_bytes = usage.limit_bytes};
}

Result<std::unique_ptr<VolumeSnapshot>> BtrfsVolumes::Snapshot(const std::string& name) {
  ASSIGN_OR_RETURN(const std::string path, Activate(name));
  const std::string snapshot = SnapshotOf(name);
  if (PathExists(PathOf(snapshot))) {
    return Error(Code::kFailedPrecondition, "volume " + name + " has a snapshot already");
  }
  RETURN_IF_ERROR(SnapshotSubvolume(path, options_.directory, snapshot));
  return std::unique_ptr<VolumeSnapshot>(new BtrfsSnapshot(options_.directory, snapshot));
}

Status BtrfsVolumes::DeleteDirectory(const std::string& path) {
  return DeleteSubvolume(options_.directory, path.substr(path.rfind('/') + 1));
}

Result<RecoveredVolumes> BtrfsVolumes::Recover() {
  ASSIGN_OR_RETURN(RecoveredVolumes recovered, DirectoryVolumes::Recover());
  RETURN_IF_ERROR(RemoveStaleQgroups(options_.directory));
  return recovered;
}

}  // namespace strata::layerfs
