#include "imaged/build/base_reference.h"

#include "common/digest.h"

namespace strata::imaged::build {
namespace {

constexpr std::string_view kScheme = "docker://";
constexpr size_t kReadableMax = 80;
constexpr size_t kHashHex = 12;

}  // namespace

std::optional<std::string> RegistryLocationOf(std::string_view reference) {
  const size_t slash = reference.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view host = reference.substr(0, slash);
  if (host != "localhost" && host.find_first_of(".:") == std::string_view::npos) {
    return std::nullopt;
  }
  return std::string(kScheme) + std::string(reference);
}

std::string BaseTag(std::string_view location) {
  std::string tag = "base-";
  std::string_view readable = location;
  if (readable.starts_with(kScheme)) readable.remove_prefix(kScheme.size());
  for (const char c : readable.substr(0, kReadableMax)) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '_';
    tag.push_back(fits ? c : '-');
  }
  return tag + "-" + Hasher::Of(location).Hex().substr(0, kHashHex);
}

}  // namespace strata::imaged::build
