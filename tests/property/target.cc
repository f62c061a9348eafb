#include "tests/property/target.h"

#include <string>

namespace strata::property {
namespace {

constexpr std::string_view kTargetNames[] = {"plain", "overlay", "kernel", "fuse", "switching"};

}  // namespace

std::string_view TargetName(Target target) { return kTargetNames[static_cast<size_t>(target)]; }

Result<Target> ParseTarget(std::string_view name) {
  for (const Target target :
       {Target::kPlain, Target::kOverlay, Target::kKernel, Target::kFuse, Target::kSwitching}) {
    if (name == TargetName(target)) return target;
  }
  return Error(Code::kInvalidArgument, "no driver is called '" + std::string(name) +
                                           "': use plain, overlay, kernel, fuse or switching");
}

conformance::BackendKind BackendOf(Target target) {
  using conformance::BackendKind;
  switch (target) {
    case Target::kPlain:
      return BackendKind::kPlain;
    case Target::kOverlay:
      return BackendKind::kOverlay;
    case Target::kKernel:
      return BackendKind::kKernel;
    case Target::kFuse:
    case Target::kSwitching:
      break;
  }
  return BackendKind::kFuse;
}

Quirks QuirksOf(Target target) {
  const bool overlayfs = MayBeOverlayfs(target);
  return {.opening_sets_mtime = overlayfs,
          .directory_times_vary = overlayfs,
          .unlinked_files_stay_lower = overlayfs};
}

}  // namespace strata::property
