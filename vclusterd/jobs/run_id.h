// How runs of tasks are called wherever they are spoken of: by a master, in orders, on hosts.
// Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace strata::vcluster {

struct RunId {
  uint32_t job = 0;
  uint32_t task = 0;     // Index in the job.
  uint32_t node = 0;     // Index in the Vcluster.
  uint32_t attempt = 0;  // From 1.
  auto operator<=>(const RunId&) const = default;

  std::string ToString() const;    // "17.0.3.1"
  std::string CommandKey() const;  // "17.0"
  // nullopt for what ToString did not write.
  static std::optional<RunId> Parse(std::string_view text);
};

}  // namespace strata::vcluster
