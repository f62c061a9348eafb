#include "vclusterd/rest/route.h"

#include <algorithm>

#include "common/http/message.h"
#include "common/log.h"
#include "common/printable.h"

namespace strata::vcluster::rest {
namespace {

constexpr size_t kSegmentBytesMax = 300;
constexpr size_t kSegmentsMax = 16;

// Decoded; nullopt for what no name of ours can be.
std::optional<std::string> ValueOf(const std::string& segment) {
  if (segment.empty() || segment.size() > kSegmentBytesMax) return std::nullopt;
  auto decoded = http::PercentDecode(segment);
  if (!decoded.ok() || PrintablePrefix(*decoded) != decoded->size()) return std::nullopt;
  return std::move(*decoded);
}

}  // namespace

bool IsVariable(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

std::vector<std::string> SegmentsOf(std::string_view path) {
  std::vector<std::string> segments;
  size_t start = 1;
  while (start <= path.size() && segments.size() <= kSegmentsMax) {
    const size_t end = std::min(path.find('/', start), path.size());
    segments.emplace_back(path.substr(start, end - start));
    start = end + 1;
  }
  return segments;
}

void RouteTable::Add(Route route) {
  CHECK(route.handle != nullptr && !route.answers.empty());
  auto added = std::make_unique<const Route>(std::move(route));
  std::vector<std::string> segments = SegmentsOf(added->path);
  by_length_[segments.size()].push_back({std::move(segments), added.get()});
  routes_.push_back(std::move(added));
}

void RouteTable::AddSchema(const std::string& name, Json schema) {
  CHECK(schemas_.emplace(name, std::move(schema)).second);
}

RouteTable::Found RouteTable::Find(const std::string& method, std::string_view path) const {
  Found found;
  const std::vector<std::string> segments = SegmentsOf(path);
  const auto entries = by_length_.find(segments.size());
  if (entries == by_length_.end()) return found;
  // An address that is written out goes before one with variables.
  size_t variables_least = kSegmentsMax + 1;
  for (const Entry& entry : entries->second) {
    size_t variables = 0;
    bool fits = true;
    for (size_t i = 0; fits && i < segments.size(); ++i) {
      if (IsVariable(entry.segments[i])) {
        ++variables;
      } else {
        fits = entry.segments[i] == segments[i];
      }
    }
    if (!fits) continue;
    if (entry.route->method != method) {
      found.allowed += (found.allowed.empty() ? "" : ", ") + entry.route->method;
    } else if (variables < variables_least) {
      variables_least = variables;
      found.route = entry.route;
    }
  }
  if (found.route == nullptr) return found;
  const std::vector<std::string> pattern = SegmentsOf(found.route->path);
  for (size_t i = 0; i < segments.size(); ++i) {
    if (!IsVariable(pattern[i])) continue;
    auto value = ValueOf(segments[i]);
    if (!value) return {};
    found.path[pattern[i].substr(1, pattern[i].size() - 2)] = std::move(*value);
  }
  return found;
}

}  // namespace strata::vcluster::rest
