// Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
// 2002): the fewest items, each of which is needed, for which a test still fails.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace strata::property {

// `fails(items)` is called often; REQUIRES: it holds for `items`.
template <typename T, typename Fails>
std::vector<T> Shrink(std::vector<T> items, const Fails& fails) {
  size_t chunk = std::max<size_t>(items.size() / 2, 1);
  while (!items.empty()) {
    bool removed = false;
    // From the end: what comes later needs what comes before.
    for (size_t end = items.size(); end > 0;) {
      const size_t begin = end > chunk ? end - chunk : 0;
      std::vector<T> fewer(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(begin));
      fewer.insert(fewer.end(), items.begin() + static_cast<std::ptrdiff_t>(end), items.end());
      if (fails(fewer)) {
        items = std::move(fewer);
        removed = true;
      }
      end = begin;
    }
    if (chunk == 1 && !removed) break;
    chunk = std::max<size_t>(chunk / 2, 1);
  }
  return items;
}

}  // namespace strata::property
