// The tree below a BLAKE3 digest, cut at groups of 256 KiB: with the values of a content's groups
// each group can be verified by itself, long before the whole is there. The values prove
// themselves: together they make the digest.
//
// Source: "BLAKE3: one function, fast everywhere" (O'Connor et al., 2020), 2.1 and 2.6; the two
// functions below the tree are those of the reference library (blake3_impl.h, 1.3 and later). The
// idea of verified streaming is that of bao (https://github.com/oconnor663/bao).
//
// Thread-safe (no state).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "common/digest.h"

namespace strata {

inline constexpr size_t kGroupBytes = 256 << 10;

// A chaining value of the tree: no digest of anything by itself.
using GroupValue = Digest::Bytes;

// Of group `index` of a content with several groups. `group` is kGroupBytes long, the last one
// shorter, and never empty.
GroupValue ValueOfGroup(std::string_view group, uint64_t index);

// The digest of the content whose groups have these values. REQUIRES: at least two.
Digest DigestOfGroups(std::span<const GroupValue> values);

}  // namespace strata
