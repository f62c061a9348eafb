// The limits of the transfer protocol. Both sides enforce them on what the other sends; a change to
// any of them is a change to the protocol (docs/transfer.md).
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/digest_tree.h"

namespace strata::imaged::transfer {

inline constexpr uint64_t kKiB = 1024;
inline constexpr uint64_t kMiB = 1024 * kKiB;

inline constexpr uint64_t kObjectBytesMax = 1ull << 42;
inline constexpr size_t kWantsPerMessageMax = 1024;

// Objects below it go in bundles.
inline constexpr uint64_t kSmallBytes = 64 * kKiB;
// Plain bytes of a bundle, and of the bases that are its dictionary. A sender closes a bundle when
// the next object would take it past the target.
inline constexpr uint64_t kBundleBytesTarget = 1 * kMiB;
inline constexpr uint64_t kBundleBytesMax = 2 * kMiB;
// A larger base is not worth its place in a bundle's dictionary.
inline constexpr uint64_t kBundleBaseBytesMax = 256 * kKiB;

// Objects of these sizes that have no base may come in chunks.
inline constexpr uint64_t kChunkedBytesMin = 4 * kMiB;
inline constexpr uint64_t kChunkedBytesMax = 32ull << 30;
inline constexpr size_t kChunksPerMessageMax = 4096;
inline constexpr size_t kRangesMax = 65536;
inline constexpr size_t kRangeObjectsMax = 256;
// A range's base is no larger than so many times the range, and 1 MiB.
inline constexpr uint64_t kRangeBaseFactor = 8;
// Objects whose chunks were told and whose ranges were not.
inline constexpr size_t kListedMax = 4096;

// Objects of these sizes may come in groups; the values of the largest fill 2 MiB.
inline constexpr uint64_t kGroupedBytesMin = kGroupBytes + 1;
inline constexpr uint64_t kGroupedBytesMax = 16ull << 30;

inline constexpr uint64_t kFrameBytes = 1 * kMiB;
// Of one frame as it is sent, which may be larger than its content.
inline constexpr uint64_t kEncodedBytesMax = kMiB + kMiB / 4;

// One delta covers a segment of the object, against a window of the base around the same place. So
// neither side needs more memory than this for objects of any size.
inline constexpr uint64_t kSegmentBytes = 32 * kMiB;
inline constexpr uint64_t kSegmentMarginBytes = 16 * kMiB;
inline constexpr uint64_t kSegmentBaseBytesMax = kSegmentBytes + 2 * kSegmentMarginBytes;
inline constexpr uint64_t kDeltaPartBytesMax = 1 * kMiB;

}  // namespace strata::imaged::transfer
