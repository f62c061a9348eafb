#include "tests/unit/manifest/counting_allocator.h"

#include <cstdlib>
#include <new>

namespace {
thread_local uint64_t allocations = 0;
}  // namespace

// In a file of its own: inlined next to its callers, GCC takes new and free for mismatched.
void* operator new(size_t size) {
  ++allocations;
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) std::abort();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace strata::testing {
uint64_t AllocationCount() { return allocations; }
}  // namespace strata::testing
