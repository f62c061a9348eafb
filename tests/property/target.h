// What a property test runs on.
#pragma once

#include <string_view>

#include "common/result.h"
#include "tests/conformance/backends.h"
#include "tests/property/model.h"

namespace strata::property {

enum class Target { kPlain, kOverlay, kKernel, kFuse, kSwitching };  // The last: drivers in turns.

std::string_view TargetName(Target target);
Result<Target> ParseTarget(std::string_view name);
conformance::BackendKind BackendOf(Target target);  // kSwitching: the first one.
inline bool MayBeFuse(Target target) {
  return target == Target::kFuse || target == Target::kSwitching;
}
inline bool MayBeOverlayfs(Target target) {
  return target != Target::kPlain && target != Target::kFuse;
}
Quirks QuirksOf(Target target);

}  // namespace strata::property
