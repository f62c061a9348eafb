// Where a file has data and where holes (lseek(2), SEEK_DATA). Thread-safe.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "common/result.h"

namespace strata::imaged {

struct Extent {
  uint64_t offset = 0;
  uint64_t size = 0;
  bool operator==(const Extent&) const = default;
};

// Whether holes are worth looking for: less is allocated than the size says.
bool LooksSparse(const struct stat& st);

// The data of the first `size` bytes, in order; one extent when the file system knows no holes.
// Moves the file offset.
Result<std::vector<Extent>> DataExtents(int fd, uint64_t size);

// The same told by the content alone: what is no run of zeros, in steps of 64 KiB. nullopt when the
// file is small, or zeros are not at least half of it.
Result<std::optional<std::vector<Extent>>> NonZeroExtents(int fd, uint64_t size);

}  // namespace strata::imaged
