#include "imaged/registry/bearer.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/http/message.h"
#include "common/log.h"
#include "common/pki/random.h"
#include "imaged/peers/unix_time.h"

namespace strata::imaged {
namespace {

using Json = nlohmann::json;

constexpr size_t kBearerBytesMax = 8192;

Error Refused() { return Error(Code::kPermissionDenied, "the bearer token is not good any more"); }

}  // namespace

Result<Scope> ParseScope(std::string_view text) {
  const size_t first = text.find(':');
  const size_t last = text.rfind(':');
  if (first == std::string_view::npos || first == last || text.size() > 512) {
    return Error(Code::kInvalidArgument, "a scope is TYPE:NAME:ACTION,…");
  }
  Scope scope;
  scope.type = text.substr(0, first);
  scope.name = text.substr(first + 1, last - first - 1);
  text.remove_prefix(last + 1);
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    if (end > 0) scope.actions.emplace(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return scope;
}

bool Bearer::Allows(std::string_view type, std::string_view name, std::string_view action) const {
  return std::any_of(scopes.begin(), scopes.end(), [&](const Scope& scope) {
    return scope.type == type && scope.name == name && scope.actions.contains(std::string(action));
  });
}

Result<BearerSigner> BearerSigner::Create() {
  ASSIGN_OR_RETURN(std::string key, pki::RandomBytes(32));
  return BearerSigner(std::move(key));
}

std::string BearerSigner::MacOf(std::string_view payload) const {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  CHECK(HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
             reinterpret_cast<const unsigned char*>(payload.data()), payload.size(), mac,
             &size) != nullptr);
  return pki::HexOf({reinterpret_cast<const char*>(mac), size});
}

std::string BearerSigner::Sign(Bearer bearer, pki::Time now) const {
  Json scopes = Json::array();
  for (const Scope& scope : bearer.scopes) {
    scopes.push_back({{"type", scope.type}, {"name", scope.name}, {"actions", scope.actions}});
  }
  const Json json = {{"uid", bearer.uid},
                     {"token", bearer.token_id},
                     {"read_only", bearer.read_only},
                     {"expires", UnixMs(now + kBearerLife)},
                     {"scopes", scopes}};
  const std::string payload =
      http::Base64(json.dump(-1, ' ', true, Json::error_handler_t::replace));
  return payload + "." + MacOf(payload);
}

Result<Bearer> BearerSigner::Verify(std::string_view text, pki::Time now) const {
  const size_t dot = text.find('.');
  if (text.size() > kBearerBytesMax || dot == std::string_view::npos) return Refused();
  const std::string_view payload = text.substr(0, dot);
  if (!pki::EqualInConstantTime(text.substr(dot + 1), MacOf(payload))) return Refused();
  // From here on it is what Sign wrote.
  const Json json = Json::parse(http::ParseBase64(payload).value_or(""), nullptr, false);
  if (!json.is_object()) return Refused();
  Bearer bearer;
  bearer.uid = json.at("uid").get<uid_t>();
  bearer.token_id = json.at("token").get<std::string>();
  bearer.read_only = json.at("read_only").get<bool>();
  bearer.expires_unix_ms = json.at("expires").get<int64_t>();
  for (const Json& scope : json.at("scopes")) {
    bearer.scopes.push_back({scope.at("type").get<std::string>(),
                             scope.at("name").get<std::string>(),
                             scope.at("actions").get<std::set<std::string>>()});
  }
  if (bearer.expires_unix_ms <= UnixMs(now)) return Refused();
  return bearer;
}

}  // namespace strata::imaged
