// Eviction: room for what is used, by forgetting copies of other hosts' images that were used
// longest ago. An image is such a copy when it has the label kCachedLabel: 'vimage pull --cached'
// sets it, a tag of one's own or the label's removal makes the image a kept one.
//
// The rule is DCM's (DCSpark/DCM, "image cache of a node"): when U bytes are used of the capacity C
// and U/C > T, images are removed, least recently used first, until F = U/2 is free. What a lease
// holds stays, and so does every layer that another image has.
//
// An image was used last when a container was made from it (LayerStore::LastUse), or else when it
// came.
#pragma once

#include <cstdint>
#include <vector>

#include "common/cancel.h"
#include "imaged/repository/repository.h"

namespace strata::imaged {

struct EvictionRule {
  double threshold = 0.8;       // T; 0: never.
  uint64_t capacity_bytes = 0;  // C; 0: what the store has and what is free on its disk.
};

struct Evicted {
  std::vector<v1::Image> images;
  uint64_t bytes = 0;  // That collections removed then.
};
// Rests on the last collection for U: without one it does nothing. When a collection cannot be made
// the answer tells what was removed until then. Thread-safe.
Result<Evicted> Evict(Repository& repository, const EvictionRule& rule, const CancelToken& cancel);

}  // namespace strata::imaged
