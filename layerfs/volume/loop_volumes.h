// Volumes that are sparse ext4 images on loop devices: <directory>/<name>.ext4. A new image is a
// copy (a reflink where the file system can) of a template that is made once per size.
// Snapshots need a file system with reflinks (xfs, btrfs) below.
#pragma once

#include <mutex>

#include "layerfs/volume/ext4_volumes.h"

namespace strata::layerfs {

class LoopVolumes final : public Ext4Volumes {
 public:
  static Result<std::unique_ptr<VolumeStore>> Open(VolumeOptions options);

  VolumeKind kind() const override { return VolumeKind::kLoop; }
  Status Create(const std::string& name, uint64_t limit_bytes) override;
  Status Remove(const std::string& name) override;
  Result<std::vector<std::string>> List() override;

 protected:
  Result<Device> OpenDevice(const std::string& name) override;
  Status CloseDevice(const std::string& name) override;
  Status CheckMounted(const std::string& name, dev_t device) override;
  Status GrowDevice(const std::string& name, uint64_t size_bytes) override;
  Status MakeSnapshot(const std::string& name, const std::string& snapshot) override;
  Status DeleteDevice(const std::string& name) override;
  Result<std::vector<std::string>> ListDevices() override;

 private:
  explicit LoopVolumes(VolumeOptions options) : Ext4Volumes(std::move(options)) {}
  std::string ImageOf(const std::string& name) const;
  Result<UniqueFd> OpenTemplate(uint64_t limit_bytes);
  Status MakeTemplate(const std::string& path, uint64_t limit_bytes);

  std::mutex template_mutex_;  // One template is made at a time.
};

}  // namespace strata::layerfs
