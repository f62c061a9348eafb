// Volumes that are directories without a limit of their own (`none`).
#pragma once

#include "layerfs/volume/volume_store.h"

namespace strata::layerfs {

class DirectoryVolumes : public VolumeStore {
 public:
  static Result<std::unique_ptr<VolumeStore>> Open(VolumeOptions options);

  VolumeKind kind() const override { return VolumeKind::kNone; }
  Status Create(const std::string& name, uint64_t limit_bytes) override;
  Result<std::string> Activate(const std::string& name) override;
  Status Deactivate(const std::string& name) override;
  Status Resize(const std::string& name, uint64_t limit_bytes) override;
  Result<VolumeUsage> Usage(const std::string& name) override;
  Result<std::unique_ptr<VolumeSnapshot>> Snapshot(const std::string& name) override;
  Status Remove(const std::string& name) override;
  Result<std::vector<std::string>> List() override;
  Result<RecoveredVolumes> Recover() override;

 protected:
  explicit DirectoryVolumes(VolumeOptions options) : options_(std::move(options)) {}
  std::string PathOf(const std::string& name) const { return options_.directory + "/" + name; }
  // `half_made` becomes the volume.
  Status Publish(const std::string& half_made, const std::string& name);
  // Deletes a volume or a leftover with everything in it. Missing is Ok.
  virtual Status DeleteDirectory(const std::string& path);

  const VolumeOptions options_;
};

}  // namespace strata::layerfs
