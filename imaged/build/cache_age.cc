#include "imaged/build/cache_age.h"

#include <algorithm>
#include <numeric>

namespace strata::imaged::build {

std::vector<size_t> EntriesToForget(const std::vector<CacheEntry>& entries,
                                    std::optional<int64_t> used_before_unix_ms,
                                    std::optional<uint64_t> keep_bytes) {
  std::vector<size_t> order(entries.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return entries[a].last_use_unix_ms < entries[b].last_use_unix_ms;
  });
  if (!used_before_unix_ms && !keep_bytes) return order;
  std::map<std::string, size_t> users;
  uint64_t bytes = 0;
  for (const CacheEntry& entry : entries) {
    for (const auto& [layer, size] : entry.layers) {
      if (users[layer]++ == 0) bytes += size;
    }
  }
  std::vector<size_t> forgotten;
  for (const size_t index : order) {
    const CacheEntry& entry = entries[index];
    const bool old = used_before_unix_ms && entry.last_use_unix_ms < *used_before_unix_ms;
    if (!old && !(keep_bytes && bytes > *keep_bytes)) break;  // So are all that follow.
    for (const auto& [layer, size] : entry.layers) {
      if (--users[layer] == 0) bytes -= size;
    }
    forgotten.push_back(index);
  }
  return forgotten;
}

}  // namespace strata::imaged::build
