// StartProfile: the objects that the first start of an image opened, in the order of their opening.
// A copy that is fetched lazily gets them first (docs/objects.md, "Lazy images"). A hint: nothing
// but time is lost when it is wrong.
//
// Packed (version 1): the digests one after another, 32 bytes each, at most kProfileObjectsMax.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/digest.h"
#include "common/result.h"

namespace strata::imaged {

using StartProfile = std::vector<Digest>;

constexpr size_t kProfileObjectsMax = 65'536;

std::string PackProfile(const StartProfile& profile);
// kCorrupt.
Result<StartProfile> UnpackProfile(std::string_view packed);

}  // namespace strata::imaged
