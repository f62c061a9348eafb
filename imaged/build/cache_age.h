// Which entries of a build cache go: those not used for some time, then the least recently used
// until what stays fits. Pure, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace strata::imaged::build {

struct CacheEntry {
  int64_t last_use_unix_ms = 0;
  std::map<std::string, uint64_t> layers;  // Bytes by digest; shared ones count once.
};

// Their indexes, least recently used first. What is not given does not matter; with neither, all.
std::vector<size_t> EntriesToForget(const std::vector<CacheEntry>& entries,
                                    std::optional<int64_t> used_before_unix_ms,
                                    std::optional<uint64_t> keep_bytes);

}  // namespace strata::imaged::build
