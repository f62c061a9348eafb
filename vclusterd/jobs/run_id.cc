#include "vclusterd/jobs/run_id.h"

#include <charconv>

namespace strata::vcluster {

std::string RunId::ToString() const {
  return CommandKey() + "." + std::to_string(node) + "." + std::to_string(attempt);
}

std::string RunId::CommandKey() const { return std::to_string(job) + "." + std::to_string(task); }

std::optional<RunId> RunId::Parse(std::string_view text) {
  RunId id;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (uint32_t* part : {&id.job, &id.task, &id.node, &id.attempt}) {
    const auto [next, error] = std::from_chars(at, end, *part);
    if (error != std::errc()) return std::nullopt;
    const bool last = part == &id.attempt;
    if (last ? next != end : next == end || *next != '.') return std::nullopt;
    at = next + 1;
  }
  // "017.0.3.1" would be another name for the same.
  if (id.ToString() != text) return std::nullopt;
  return id;
}

}  // namespace strata::vcluster
