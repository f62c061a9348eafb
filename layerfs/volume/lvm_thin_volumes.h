// Volumes that are thin logical volumes with ext4. LVM is driven through its commands with JSON
// reports, which is the interface its authors keep stable: liblvm2app is gone, liblvm2cmd takes the
// same command lines as text and must not be called from threads, and the D-Bus service is another
// daemon to depend on. A command takes about 10 ms, once per life event of a node.
//
// A logical volume is called <prefix>-<volume>; what is half-made, <prefix>.new-<volume>.
// An overfull thin pool stops every writer of the pool: keep it larger than what the limits add up
// to, or let dmeventd extend it (lvmthin(7)).
#pragma once

#include <map>

#include "layerfs/volume/ext4_volumes.h"

namespace strata::layerfs {

class LvmThinVolumes final : public Ext4Volumes {
 public:
  static Result<std::unique_ptr<VolumeStore>> Open(VolumeOptions options);

  VolumeKind kind() const override { return VolumeKind::kLvmThin; }
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
  LvmThinVolumes(VolumeOptions options, std::string group, std::string pool)
      : Ext4Volumes(std::move(options)), group_(std::move(group)), pool_(std::move(pool)) {}
  Result<std::string> Lvm(std::vector<std::string> arguments) const;
  std::string LvOf(const std::string& name) const;       // "strata-1-0"
  std::string FullName(const std::string& name) const {  // "GROUP/strata-1-0"
    return group_ + "/" + LvOf(name);
  }
  std::string DevicePath(const std::string& name) const;
  // Size by name of ours, and of the pool under "".
  Result<std::map<std::string, uint64_t>> Report() const;

  const std::string group_;
  const std::string pool_;
};

}  // namespace strata::layerfs
