#include "tests/conformance/differences.h"

namespace strata::conformance {
namespace {

using enum BackendKind;

const Difference kDifferences[] = {
    {"AReaderOpenBeforeCopyUpSeesTheWrite",
     {kOverlay, kKernel, kFuse},
     "overlayfs: a descriptor opened for reading before copy-up keeps the lower file"},
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
