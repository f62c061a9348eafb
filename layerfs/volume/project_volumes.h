// Volumes that are directories with a project quota: nothing is mounted and nothing is made but a
// directory. The project's number is the directory's own attribute; it is the first that is free on
// the file system, from kFirstProject on.
#pragma once

#include <mutex>

#include "layerfs/volume/directory_volumes.h"

namespace strata::layerfs {

inline constexpr uint32_t kFirstProject = 1'400'000'000;

class ProjectVolumes final : public DirectoryVolumes {
 public:
  static Result<std::unique_ptr<VolumeStore>> Open(VolumeOptions options);

  VolumeKind kind() const override { return VolumeKind::kProject; }
  Status Create(const std::string& name, uint64_t limit_bytes) override;
  Status Resize(const std::string& name, uint64_t limit_bytes) override;
  Result<VolumeUsage> Usage(const std::string& name) override;

 protected:
  Status DeleteDirectory(const std::string& path) override;

 private:
  explicit ProjectVolumes(VolumeOptions options) : DirectoryVolumes(std::move(options)) {}
  Result<uint32_t> FreeProject();

  std::mutex mutex_;  // Guards the choice of a number until a directory has it.
};

}  // namespace strata::layerfs
