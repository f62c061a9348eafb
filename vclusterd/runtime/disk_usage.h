// How much disk a directory takes.
#pragma once

#include <cstdint>
#include <string>

#include "common/result.h"

namespace strata::vcluster {

// Allocated bytes of everything below `path` (as du), hard-linked files once. Entries that vanish
// meanwhile are left out; at most two million are counted.
Result<uint64_t> DiskUsage(const std::string& path);

}  // namespace strata::vcluster
