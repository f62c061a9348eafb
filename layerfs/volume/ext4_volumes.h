// What volumes with an ext4 of their own have in common, whatever device it is on. An active one is
// mounted at <mount_dir>/<name>: a name that other processes can use (imaged when a node is saved,
// layerfs servers that are replaced) and that outlives the daemon. <mount_dir> is a private mount,
// so other mount namespaces do not get these mounts; a copy in a namespace that was cloned
// meanwhile goes when the directory it is mounted on is removed (rmdir(2) of a place that is not a
// mount point here detaches it everywhere).
#pragma once

#include "layerfs/volume/ext4.h"
#include "layerfs/volume/volume_store.h"

namespace strata::layerfs {

class Ext4Volumes : public VolumeStore {
 public:
  ~Ext4Volumes() override;
  Result<std::string> Activate(const std::string& name) override;
  Status Deactivate(const std::string& name) override;
  Status Resize(const std::string& name, uint64_t limit_bytes) override;
  Result<VolumeUsage> Usage(const std::string& name) override;
  Result<std::unique_ptr<VolumeSnapshot>> Snapshot(const std::string& name) override;
  Result<RecoveredVolumes> Recover() override;

 protected:
  // Something to mount; `keep` holds it until it is.
  struct Device {
    UniqueFd keep;
    std::string path;
    std::string backing;  // As messages call it.
  };

  explicit Ext4Volumes(VolumeOptions options) : options_(std::move(options)) {}
  Status PrepareMountDir();
  std::string MountPointOf(const std::string& name) const {
    return options_.mount_dir + "/" + name;
  }
  Result<bool> IsActive(const std::string& name) const;
  // Mounts a device that nobody uses yet for a moment and records the limit of what is on it.
  Status RecordLimit(const Device& device, const std::string& name, uint64_t limit_bytes);

  // `name`: a volume, or a leftover's or snapshot's name (volume_names.h). kNotFound.
  virtual Result<Device> OpenDevice(const std::string& name) = 0;
  // After it is unmounted.
  virtual Status CloseDevice(const std::string& name) = 0;
  // kFailedPrecondition unless what is mounted from `device` is this volume, whole.
  virtual Status CheckMounted(const std::string& name, dev_t device) = 0;
  // Makes the device (active or not) `size_bytes` large at least.
  virtual Status GrowDevice(const std::string& name, uint64_t size_bytes) = 0;
  // A copy of the active volume's device, as of one moment, that OpenDevice(snapshot) opens.
  virtual Status MakeSnapshot(const std::string& name, const std::string& snapshot) = 0;
  // Removes an inactive device, whatever its name.
  virtual Status DeleteDevice(const std::string& name) = 0;
  // Every device, leftovers and snapshots too.
  virtual Result<std::vector<std::string>> ListDevices() = 0;

  const VolumeOptions options_;

 private:
  friend class Ext4Snapshot;
  Status MountAt(const std::string& name, Ext4Access access);
  Status UnmountAt(const std::string& name);
  Status CheckStillMounted(const std::string& name);
  Status GrowActive(const std::string& name, uint64_t limit_bytes, bool was_active);
  Status RecoverMounts(const std::vector<std::string>& devices, RecoveredVolumes* recovered);
};

}  // namespace strata::layerfs
