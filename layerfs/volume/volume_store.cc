#include "layerfs/volume/volume_store.h"

#include <algorithm>

#include "layerfs/volume/btrfs_volumes.h"
#include "layerfs/volume/directory_volumes.h"
#include "layerfs/volume/loop_volumes.h"
#include "layerfs/volume/lvm_thin_volumes.h"
#include "layerfs/volume/project_volumes.h"

namespace strata::layerfs {
namespace {

constexpr size_t kNameSizeMax = 60;

}  // namespace

std::string_view VolumeKindName(VolumeKind kind) {
  switch (kind) {
    case VolumeKind::kNone:
      return "none";
    case VolumeKind::kProject:
      return "project";
    case VolumeKind::kBtrfs:
      return "btrfs";
    case VolumeKind::kLvmThin:
      return "lvm-thin";
    case VolumeKind::kLoop:
      return "loop";
  }
  return "";
}

const std::vector<VolumeKind>& AllVolumeKinds() {
  static const std::vector<VolumeKind> kinds = {VolumeKind::kNone, VolumeKind::kProject,
                                                VolumeKind::kBtrfs, VolumeKind::kLvmThin,
                                                VolumeKind::kLoop};
  return kinds;
}

Result<VolumeKind> ParseVolumeKind(std::string_view name) {
  for (const VolumeKind kind : AllVolumeKinds()) {
    if (name == VolumeKindName(kind)) return kind;
  }
  return Error(Code::kInvalidArgument, "no kind of volume is called '" + std::string(name) +
                                           "': use none, project, btrfs, lvm-thin or loop");
}

Status CheckVolumeName(std::string_view name) {
  const auto is_valid = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  if (!name.empty() && name.size() <= kNameSizeMax && name.front() != '-' &&
      std::all_of(name.begin(), name.end(), is_valid)) {
    return Ok();
  }
  return Error(Code::kInvalidArgument,
               "'" + std::string(name.substr(0, 100)) + "' cannot be a volume's name");
}

Status CheckVolumeSize(uint64_t limit_bytes) {
  if (limit_bytes >= kVolumeBytesMin && limit_bytes <= kVolumeBytesMax) return Ok();
  return Error(Code::kInvalidArgument, "the limit of disk must be 16 MiB to 64 TiB");
}

Result<std::unique_ptr<VolumeStore>> OpenVolumeStore(VolumeKind kind, VolumeOptions options) {
  switch (kind) {
    case VolumeKind::kNone:
      return DirectoryVolumes::Open(std::move(options));
    case VolumeKind::kProject:
      return ProjectVolumes::Open(std::move(options));
    case VolumeKind::kBtrfs:
      return BtrfsVolumes::Open(std::move(options));
    case VolumeKind::kLvmThin:
      return LvmThinVolumes::Open(std::move(options));
    case VolumeKind::kLoop:
      return LoopVolumes::Open(std::move(options));
  }
  return Error(Code::kInternal, "an unknown kind of volume");
}

}  // namespace strata::layerfs
