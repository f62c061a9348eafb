// Replaces operator new in the test binary, to see what code on a hot path takes from the heap.
#pragma once

#include <cstdint>

namespace strata::testing {
// Calls of operator new by this thread so far.
uint64_t AllocationCount();
}  // namespace strata::testing
