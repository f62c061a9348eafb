// Copies a file's content: by reflink or copy_file_range(2) where the file systems can, holes kept.
// Thread-safe.
#pragma once

#include <cstdint>

#include "common/result.h"

namespace strata {

// The first `size` bytes of `from` to the same offsets of `to`, which is a hole there; `to` gets
// that size. Nothing is synced. kResourceExhausted: the disk is full.
Status CopyData(int from, int to, uint64_t size);

// Blocks of 4 KiB that hold only zeros become holes, so that copies do not carry them.
Status DigHoles(int fd);

}  // namespace strata
