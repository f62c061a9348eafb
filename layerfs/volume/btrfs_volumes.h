// Volumes that are btrfs subvolumes; the limit is that of their qgroup. Nothing is mounted.
#pragma once

#include "layerfs/volume/directory_volumes.h"

namespace strata::layerfs {

class BtrfsVolumes final : public DirectoryVolumes {
 public:
  // Switches quotas of the file system on: who chooses this kind wants them.
  static Result<std::unique_ptr<VolumeStore>> Open(VolumeOptions options);

  VolumeKind kind() const override { return VolumeKind::kBtrfs; }
  Status Create(const std::string& name, uint64_t limit_bytes) override;
  Status Resize(const std::string& name, uint64_t limit_bytes) override;
  // btrfs counts when it commits: what was written since the last sync may be missing.
  Result<VolumeUsage> Usage(const std::string& name) override;
  Result<std::unique_ptr<VolumeSnapshot>> Snapshot(const std::string& name) override;
  Result<RecoveredVolumes> Recover() override;

 protected:
  Status DeleteDirectory(const std::string& path) override;

 private:
  explicit BtrfsVolumes(VolumeOptions options) : DirectoryVolumes(std::move(options)) {}
};

}  // namespace strata::layerfs
