// What this kernel and the file system of the state directory can do for containers' roots, found
// out by trying, and what follows from what is missing. Needs root. Leaves nothing behind.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "layerfs/root.h"
#include "layerfs/volume/volume_store.h"

namespace strata::layerfs {

struct Finding {
  std::string name;  // Stable: scripts read it. "fuse.passthrough", "quota.project", …
  bool present = false;
  std::string detail;   // What was seen: a version, a list, the kernel's refusal.
  std::string meaning;  // What follows when it is missing.
};

struct ProbeReport {
  std::string kernel;  // uname -r
  std::string state_dir;
  std::string file_system;  // Of the state directory: "ext4", "btrfs", …
  std::vector<Finding> findings;
  std::optional<Driver> driver;  // What PickDriver picks; nothing when neither works.
  std::string no_driver_reason;
  // What PickVolumeKind picks for nodes with a limit of disk.
  VolumeKind volumes = VolumeKind::kNone;
};

Result<ProbeReport> Probe(const std::string& state_dir);

std::string ProbeText(const ProbeReport& report);
std::string ProbeJson(const ProbeReport& report);

}  // namespace strata::layerfs
