// Copies a file's content: by reflink or copy_file_range(2) where the file systems can, holes kept.
#pragma once

#include <cstdint>

#include "common/result.h"

namespace strata::layerfs {

// The first `size` bytes of `from` to the same offsets of `to`, which is a hole there; `to` gets
// that size. Nothing is synced. kResourceExhausted: the disk is full.
Status CopyData(int from, int to, uint64_t size);

}  // namespace strata::layerfs
