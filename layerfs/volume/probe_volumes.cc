#include "layerfs/volume/probe_volumes.h"

#include <fcntl.h>

#include "common/file_io.h"
#include "common/subprocess.h"
#include "layerfs/volume/btrfs.h"
#include "layerfs/volume/project_quota.h"

namespace strata::layerfs {
namespace {

constexpr uint64_t kSampleBytes = 16u << 20;

// Makes, mounts and limits a tiny volume.
Status TryLoop(const std::string& state_dir) {
  ASSIGN_OR_RETURN(const TemporaryDirectory directory,
                   TemporaryDirectory::Create(state_dir, "probe-volume."));
  ASSIGN_OR_RETURN(const auto store,
                   OpenVolumeStore(VolumeKind::kLoop, {.directory = directory.path() + "/images",
                                                       .mount_dir = directory.path() + "/mounts"}));
  RETURN_IF_ERROR(store->Create("probe", kSampleBytes));
  const auto path = store->Activate("probe");
  RETURN_IF_ERROR(store->Remove("probe"));
  RETURN_IF_ERROR(path);
  return Ok();
}

Status TryLvm() {
  const auto control = Open("/dev/mapper/control", O_RDWR);
  if (!control.ok()) {
    return Error(Code::kUnsupported, "device-mapper is missing: " + control.error().message());
  }
  RETURN_IF_ERROR(RunChecked({"lvm", "version"}));
  return Ok();
}

}  // namespace

Status ProbeVolumeKind(VolumeKind kind, const std::string& state_dir) {
  switch (kind) {
    case VolumeKind::kNone:
      return Ok();
    case VolumeKind::kProject:
      return CheckProjectQuota(state_dir);
    case VolumeKind::kBtrfs:
      return CheckBtrfsQuota(state_dir);
    case VolumeKind::kLvmThin:
      return TryLvm();
    case VolumeKind::kLoop:
      return TryLoop(state_dir);
  }
  return Error(Code::kInternal, "an unknown kind of volume");
}

VolumeKind PickVolumeKind(const std::string& state_dir) {
  for (const VolumeKind kind : {VolumeKind::kProject, VolumeKind::kBtrfs, VolumeKind::kLoop}) {
    if (ProbeVolumeKind(kind, state_dir).ok()) return kind;
  }
  return VolumeKind::kNone;
}

}  // namespace strata::layerfs
