#include "imaged/registry_client/credentials.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "common/file_io.h"
#include "common/http/message.h"
#include "common/paths.h"

namespace strata::imaged {
namespace {

using Json = nlohmann::json;

constexpr size_t kAuthFileBytesMax = 1u << 20;

// Docker's own registry has an entry of an old form.
bool IsFor(std::string_view key, const std::string& host, const std::string& place) {
  if (host == "docker.io" && key == "https://index.docker.io/v1/") return true;
  return place == key || (place.starts_with(key) && place[key.size()] == '/');
}

}  // namespace

Result<std::optional<RegistryCredentials>> FindCredentials(std::string_view auth_json,
                                                           const RegistryLocation& location) {
  const Json json = Json::parse(auth_json, nullptr, false);
  const Error bad(Code::kInvalidArgument, "is no auth.json of podman or docker");
  if (!json.is_object()) return bad;
  const auto helpers = json.find("credHelpers");
  const bool kept_elsewhere =
      helpers != json.end() && helpers->is_object() && helpers->contains(location.host);
  const auto auths = json.find("auths");
  std::string best;
  std::string best_key;
  if (auths != json.end()) {
    if (!auths->is_object()) return bad;
    const std::string place = location.host + "/" + location.repository;
    for (const auto& [key, entry] : auths->items()) {
      if (!IsFor(key, location.host, place) || key.size() < best_key.size()) continue;
      const auto auth = entry.is_object() ? entry.find("auth") : entry.end();
      if (!entry.is_object() || auth == entry.end() || !auth->is_string()) continue;
      best = auth->get<std::string>();
      best_key = key;
    }
  }
  if (best.empty()) {
    if (kept_elsewhere) {
      return Error(Code::kUnsupported, "credentials that another program keeps cannot be read");
    }
    return std::optional<RegistryCredentials>();
  }
  const auto plain = http::ParseBase64(best);
  const size_t colon = plain ? plain->find(':') : std::string::npos;
  if (colon == std::string::npos) return bad;
  return std::optional<RegistryCredentials>({plain->substr(0, colon), plain->substr(colon + 1)});
}

Result<std::optional<RegistryCredentials>> LoadCredentials(const std::string& file,
                                                           const RegistryLocation& location) {
  std::string path = file.empty() ? EnvironmentOr("REGISTRY_AUTH_FILE", "") : file;
  if (path.empty()) {
    const std::string runtime = EnvironmentOr("XDG_RUNTIME_DIR", "");
    path = runtime.empty() ? "/run/containers/" + std::to_string(::getuid()) + "/auth.json"
                           : runtime + "/containers/auth.json";
    if (!PathExists(path)) return std::optional<RegistryCredentials>();
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kAuthFileBytesMax));
  auto found = FindCredentials(text, location);
  if (!found.ok()) return found.error().Wrap(path);
  return found;
}

}  // namespace strata::imaged
