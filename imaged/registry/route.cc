#include "imaged/registry/route.h"

#include <algorithm>
#include <vector>

#include "common/http/message.h"

namespace strata::imaged {
namespace {

constexpr size_t kPathBytesMax = 1024;
constexpr size_t kWordBytesMax = 128;

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// The decoded parts behind "/v2/".
std::optional<std::vector<std::string>> Split(std::string_view path) {
  constexpr std::string_view kPrefix = "/v2/";
  if (path == "/v2") return std::vector<std::string>{""};
  if (path.size() > kPathBytesMax || !path.starts_with(kPrefix)) return std::nullopt;
  path.remove_prefix(kPrefix.size());
  std::vector<std::string> parts;
  while (true) {
    const size_t slash = std::min(path.find('/'), path.size());
    Result<std::string> part = http::PercentDecode(path.substr(0, slash));
    if (!part.ok() || part->find('/') != std::string::npos) return std::nullopt;
    parts.push_back(std::move(*part));
    if (slash == path.size()) return parts;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace

bool IsWord(std::string_view text) {
  return !text.empty() && text.size() <= kWordBytesMax && IsAlphanumeric(text[0]) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

std::optional<Route> ParseRoute(std::string_view path) {
  const auto parts = Split(path);
  if (!parts) return std::nullopt;
  const std::vector<std::string>& at = *parts;
  if (at.size() == 1) {
    if (at[0].empty()) return Route{Route::Kind::kBase, "", ""};
    if (at[0] == "token") return Route{Route::Kind::kToken, "", ""};
    if (at[0] == "_catalog") return Route{Route::Kind::kCatalog, "", ""};
    return std::nullopt;
  }
  if (at.size() < 4 || at.size() > 5 || !IsWord(at[0]) || !IsWord(at[1])) return std::nullopt;
  Route route{Route::Kind::kTags, at[0] + "/" + at[1], at[3]};
  if (at.size() == 5) {
    if (at[2] != "blobs" || at[3] != "uploads") return std::nullopt;
    route.kind = at[4].empty() ? Route::Kind::kUploads : Route::Kind::kUpload;
    route.reference = at[4];
    return route;
  }
  if (at[2] == "tags" && at[3] == "list") return route;
  if (at[2] == "manifests") {
    route.kind = Route::Kind::kManifest;
  } else if (at[2] == "referrers") {
    route.kind = Route::Kind::kReferrers;
  } else if (at[2] == "blobs") {
    route.kind = at[3] == "uploads" ? Route::Kind::kUploads : Route::Kind::kBlob;
  } else {
    return std::nullopt;
  }
  return route;
}

}  // namespace strata::imaged
