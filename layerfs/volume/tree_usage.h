// How much disk a directory takes. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "common/result.h"

namespace strata::layerfs {

struct TreeUsage {
  uint64_t bytes = 0;  // Allocated.
  uint64_t inodes = 0;
};

// Everything below `path` (as du), hard-linked files once. Entries that vanish meanwhile are left
// out; at most two million are counted.
Result<TreeUsage> MeasureTree(const std::string& path);

}  // namespace strata::layerfs
