#include "imaged/registry_client/location.h"

#include <algorithm>

namespace strata::imaged {
namespace {

constexpr size_t kLocationBytesMax = 512;
constexpr std::string_view kDockerHost = "docker.io";

bool IsLowerAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// Parts of lower-case letters, digits and separators between them (distribution-spec, "Pulling
// manifests").
bool IsRepository(std::string_view text) {
  bool after_word = false;
  for (const char c : text) {
    const bool word = IsLowerAlphanumeric(c);
    const bool separator = c == '.' || c == '_' || c == '-' || c == '/';
    if (!word && !(separator && after_word)) return false;
    // "__" and "--" may be within a name, "//" or "/." may not.
    after_word = word || c == '_' || c == '-';
  }
  return !text.empty() && IsLowerAlphanumeric(text.back());
}

bool IsTag(std::string_view text) {
  return !text.empty() && text.size() <= 128 && text[0] != '.' && text[0] != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return IsLowerAlphanumeric(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' ||
                  c == '-';
         });
}

bool IsHost(std::string_view text) {
  return !text.empty() && text[0] != '-' && std::all_of(text.begin(), text.end(), [](char c) {
    return IsLowerAlphanumeric(c) || (c >= 'A' && c <= 'Z') ||
           std::string_view(".-:[]").find(c) != std::string_view::npos;
  });
}

}  // namespace

Result<RegistryLocation> ParseRegistryLocation(std::string_view text) {
  const auto bad = [&](const std::string& why) {
    return Error(Code::kInvalidArgument,
                 "'" + std::string(text.substr(0, 300)) + "': " + why +
                     "; write docker://HOST[:PORT]/NAME[:TAG] or docker://HOST/NAME@sha256:…");
  };
  if (!text.starts_with(kRegistryScheme) || text.size() > kLocationBytesMax) {
    return bad("no address of a registry");
  }
  std::string_view rest = text.substr(kRegistryScheme.size());
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return bad("the repository is missing");
  RegistryLocation location;
  location.host = rest.substr(0, slash);
  if (!IsHost(location.host)) return bad("the host is none");
  rest.remove_prefix(slash + 1);
  if (const size_t at = rest.find('@'); at != std::string_view::npos) {
    ASSIGN_OR_RETURN(location.digest, Sha256Digest::Parse(rest.substr(at + 1)));
    rest = rest.substr(0, at);
  }
  const size_t colon = rest.find(':');
  location.repository = rest.substr(0, colon);
  if (colon != std::string_view::npos) {
    location.tag = rest.substr(colon + 1);
    if (!IsTag(location.tag)) return bad("the tag is none");
  } else if (!location.digest) {
    location.tag = "latest";
  }
  if (!IsRepository(location.repository)) {
    return bad("a repository is called in lower-case letters, digits and . _ - between them");
  }
  if (location.host == kDockerHost && location.repository.find('/') == std::string::npos) {
    location.repository.insert(0, "library/");
  }
  return location;
}

std::string RegistryLocation::Endpoint() const {
  return host == kDockerHost ? "registry-1.docker.io" : host;
}

std::string RegistryLocation::ToString() const {
  return std::string(kRegistryScheme) + host + "/" + repository + (tag.empty() ? "" : ":" + tag) +
         (digest ? "@" + digest->ToString() : "");
}

}  // namespace strata::imaged
