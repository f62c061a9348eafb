// MappedAllocator: memory that goes back to the kernel when it is freed, for what is large and
// short-lived. malloc(3) keeps it: each thread that serves requests has an arena of its own, and
// the arenas of four threads kept 120 MB after a directory of a million names had been listed
// again and again. Stateless; used by any thread.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>

#include "common/log.h"

namespace strata::layerfs {

template <typename T>
struct MappedAllocator {
  using value_type = T;
  // Less comes from operator new.
  static constexpr size_t kMappedMin = size_t{64} << 10;

  MappedAllocator() = default;
  template <typename U>
  MappedAllocator(const MappedAllocator<U>&) {}  // NOLINT(google-explicit-constructor)

  // Ends the program without memory, as operator new does here, whose exception nobody catches.
  T* allocate(size_t count) {
    const size_t bytes = count * sizeof(T);
    if (bytes < kMappedMin) return static_cast<T*>(::operator new(bytes));
    void* memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t count) {
    const size_t bytes = count * sizeof(T);
    if (bytes < kMappedMin) return ::operator delete(memory);
    ::munmap(memory, bytes);
  }
  friend bool operator==(const MappedAllocator&, const MappedAllocator&) { return true; }
};

}  // namespace strata::layerfs
