#include "tests/conformance/differences.h"

namespace strata::conformance {
namespace {

using enum BackendKind;

const Difference kDifferences[] = {
    {"AReaderOpenBeforeCopyUpSeesTheWrite",
     {kFuse},
     "a passthrough descriptor opened before copy-up keeps the lower file"},
    {"ARemovedDirectoryThatIsOpenIsEmptyAndTakesNothing",
     {kOverlay, kKernel},
     "overlayfs: an open directory that was removed still tells a link count of 2"},
    {"ListedInodeNumbersAreThoseOfStat",
     {kKernel},
     "overlayfs without xino, layers on two file systems: d_ino of a changed entry is the upper's"},
    {"RemovingAnAclLeavesTheMode",
     {kKernel},
     "overlayfs asks the lower for set_acl, which EROFS has not: EOPNOTSUPP until a copy-up"},
    {"AnAclCanBeSetOnALowerFile",
     {kKernel},
     "overlayfs asks the lower for set_acl, which EROFS has not: EOPNOTSUPP until a copy-up"},
    {"AWriteByRootKeepsSetuid",
     {kFuse},
     "KILLPRIV_V2: a passthrough write clears setuid whoever writes"},
};

}  // namespace

std::span<const Difference> AllDifferences() { return kDifferences; }

std::optional<std::string_view> KnownDifference(BackendKind kind, std::string_view case_name) {
  for (const Difference& difference : kDifferences) {
    if (difference.case_name != case_name) continue;
    for (const BackendKind one : difference.kinds) {
      if (one == kind) return difference.reason;
    }
  }
  return std::nullopt;
}

}  // namespace strata::conformance
