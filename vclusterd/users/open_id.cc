#include "vclusterd/users/open_id.h"

#include "common/base64url.h"
#include "common/json_text.h"
#include "common/pki/random.h"
#include "common/printable.h"

namespace strata::vcluster {
namespace {

using Json = nlohmann::json;

constexpr size_t kAnswerBytesMax = 256 << 10;
constexpr size_t kDepthMax = 16;
constexpr size_t kQueryBytesMax = 8 << 10;
constexpr size_t kCodeBytesMax = 2048;
constexpr size_t kUrlBytesMax = 2048;
constexpr size_t kSecretBytes = 32;  // 43 characters: what RFC 7636 asks for at least.
constexpr int64_t kKeysOldMs = kHourMs;
constexpr int64_t kKeysAgainMs = kMinuteMs;

Error NotOurs(const std::string& why) {
  return Error(Code::kPermissionDenied, "this is no answer to a sign-in from here: " + why);
}

// Secrets go to https only, or to this host itself.
bool IsSafe(const std::string& url) {
  const auto parsed = http::ParseUrl(url);
  if (!parsed.ok() || url.size() > kUrlBytesMax) return false;
  if (parsed->scheme == "https") return true;
  const std::string host = parsed->host.substr(0, parsed->host.rfind(':'));
  return host == "127.0.0.1" || host == "localhost" || host == "[::1]";
}

std::string Encoded(const http::Fields& fields) {
  std::string text;
  for (const http::Field& field : fields) {
    text += (text.empty() ? "" : "&") + http::PercentEncode(field.name) + "=" +
            http::PercentEncode(field.value);
  }
  return text;
}

Result<std::string> RandomText() {
  ASSIGN_OR_RETURN(const std::string bytes, pki::RandomBytes(kSecretBytes));
  return Base64Url(bytes);
}

// A parameter that is there at most once (RFC 6749, section 3.1).
Result<std::string> Single(const http::Fields& fields, const std::string& name) {
  std::optional<std::string> value;
  for (const http::Field& field : fields) {
    if (field.name != name) continue;
    if (value) return NotOurs("'" + name + "' is there twice");
    value = field.value;
  }
  return value.value_or("");
}

std::string TextOf(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

}  // namespace

std::string DiscoveryUrl(const std::string& issuer) {
  const bool has_slash = issuer.ends_with('/');
  return issuer.substr(0, issuer.size() - (has_slash ? 1 : 0)) +
         "/.well-known/openid-configuration";
}

Result<OpenIdEndpoints> ParseDiscovery(std::string_view text, const std::string& issuer) {
  ASSIGN_OR_RETURN(const Json json, ParseJsonText(text, kAnswerBytesMax, kDepthMax),
                   "what the issuer says of itself");
  if (!json.is_object() || TextOf(json, "issuer") != issuer) {
    return Error(Code::kInvalidArgument, "who answers is not the issuer " + Printable(issuer));
  }
  OpenIdEndpoints endpoints;
  endpoints.authorization = TextOf(json, "authorization_endpoint");
  endpoints.token = TextOf(json, "token_endpoint");
  endpoints.keys = TextOf(json, "jwks_uri");
  for (const std::string& url : {endpoints.authorization, endpoints.token, endpoints.keys}) {
    if (!IsSafe(url)) {
      return Error(Code::kInvalidArgument,
                   "the issuer names the endpoint '" + Printable(url) + "', which is no https URL");
    }
  }
  const auto names = json.find("authorization_response_iss_parameter_supported");
  endpoints.names_itself = names != json.end() && *names == true;
  return endpoints;
}

std::string ChallengeOf(const std::string& verifier) { return Base64Url(pki::Sha256(verifier)); }

std::string AuthorizationUrl(const OpenIdClient& client, const OpenIdEndpoints& endpoints,
                             const OpenIdAttempt& attempt) {
  const bool has_query = endpoints.authorization.find('?') != std::string::npos;
  return endpoints.authorization + (has_query ? "&" : "?") +
         Encoded({{"response_type", "code"},
                  {"client_id", client.client_id},
                  {"redirect_uri", client.redirect_uri},
                  {"scope", client.scope},
                  {"state", attempt.state},
                  {"nonce", attempt.nonce},
                  {"code_challenge", ChallengeOf(attempt.verifier)},
                  {"code_challenge_method", "S256"}});
}

Result<std::string> CodeOfAnswer(std::string_view query, const OpenIdClient& client,
                                 const OpenIdEndpoints& endpoints, const OpenIdAttempt& attempt) {
  if (query.size() > kQueryBytesMax) return NotOurs("it is too long");
  const auto fields = http::ParseQuery(query);
  if (!fields.ok()) return NotOurs(fields.error().message());
  ASSIGN_OR_RETURN(const std::string state, Single(*fields, "state"));
  // First of all: who has another browser's answer learns nothing more.
  if (attempt.state.empty() || !pki::EqualInConstantTime(state, attempt.state)) {
    return NotOurs("it is another browser's");
  }
  ASSIGN_OR_RETURN(const std::string issuer, Single(*fields, "iss"));
  if (issuer.empty() ? endpoints.names_itself : issuer != client.issuer) {
    return NotOurs("it is another issuer's");
  }
  ASSIGN_OR_RETURN(const std::string error, Single(*fields, "error"));
  if (!error.empty()) {
    ASSIGN_OR_RETURN(const std::string description, Single(*fields, "error_description"));
    return Error(Code::kPermissionDenied,
                 "the issuer refuses: " + Printable(error, 100) +
                     (description.empty() ? "" : " (" + Printable(description) + ")"));
  }
  ASSIGN_OR_RETURN(std::string code, Single(*fields, "code"));
  if (code.empty() || code.size() > kCodeBytesMax) return NotOurs("it has no code");
  return code;
}

http::Outgoing TokenRequest(const OpenIdClient& client, const OpenIdEndpoints& endpoints,
                            const std::string& code, const OpenIdAttempt& attempt) {
  http::Outgoing request;
  request.method = "POST";
  request.url = endpoints.token;
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded"},
                     {"Accept", "application/json"}};
  http::Fields form = {{"grant_type", "authorization_code"},
                       {"code", code},
                       {"redirect_uri", client.redirect_uri},
                       {"code_verifier", attempt.verifier}};
  if (client.client_secret.empty()) {
    form.push_back({"client_id", client.client_id});
  } else {
    // Both are encoded before they are put together (RFC 6749, section 2.3.1).
    request.headers.push_back(
        {"Authorization", "Basic " + http::Base64(http::PercentEncode(client.client_id) + ":" +
                                                  http::PercentEncode(client.client_secret))});
  }
  request.text = Encoded(form);
  return request;
}

Result<std::string> IdTokenOfAnswer(const http::Incoming& answer) {
  const auto json = ParseJsonText(answer.text, kAnswerBytesMax, kDepthMax);
  if (answer.status != 200) {
    const std::string error = json.ok() && json->is_object() ? TextOf(*json, "error") : "";
    const bool is_refusal = answer.status == 400 && error == "invalid_grant";
    return Error(is_refusal ? Code::kPermissionDenied : Code::kUnavailable,
                 "the issuer gives no token for the code: status " + std::to_string(answer.status) +
                     (error.empty() ? "" : ", " + Printable(error, 100)));
  }
  const std::string token = json.ok() && json->is_object() ? TextOf(*json, "id_token") : "";
  if (token.empty()) return Error(Code::kUnavailable, "the issuer's answer has no ID token");
  return token;
}

Result<std::string> OpenIdProvider::Get(const std::string& url) {
  http::Outgoing request;
  request.url = url;
  request.headers = {{"Accept", "application/json"}};
  ASSIGN_OR_RETURN(http::Incoming answer, fetch_(request), "the issuer " + client_.issuer);
  if (answer.status != 200) {
    return Error(Code::kUnavailable,
                 "the issuer answers " + url + " with status " + std::to_string(answer.status));
  }
  return std::move(answer.text);
}

Result<OpenIdEndpoints> OpenIdProvider::Endpoints() {
  {
    const std::lock_guard lock(mutex_);
    if (endpoints_ && now_() - endpoints_ms_ < kDayMs) return *endpoints_;
  }
  const std::string url = DiscoveryUrl(client_.issuer);
  if (!IsSafe(url)) {
    return Error(Code::kInvalidArgument, "the issuer '" + client_.issuer + "' is no https URL");
  }
  ASSIGN_OR_RETURN(const std::string text, Get(url));
  ASSIGN_OR_RETURN(OpenIdEndpoints endpoints, ParseDiscovery(text, client_.issuer));
  const std::lock_guard lock(mutex_);
  endpoints_ = endpoints;
  endpoints_ms_ = now_();
  return endpoints;
}

Result<OpenIdProvider::KeysPtr> OpenIdProvider::Keys(const OpenIdEndpoints& endpoints,
                                                     int64_t age_ms_max) {
  {
    const std::lock_guard lock(mutex_);
    if (keys_ != nullptr && now_() - keys_ms_ < age_ms_max) return keys_;
  }
  ASSIGN_OR_RETURN(const std::string text, Get(endpoints.keys));
  ASSIGN_OR_RETURN(JwkSet parsed, JwkSet::Parse(text));
  auto keys = std::make_shared<const JwkSet>(std::move(parsed));
  const std::lock_guard lock(mutex_);
  keys_ = keys;
  keys_ms_ = now_();
  return keys;
}

Result<OpenIdAttempt> OpenIdProvider::Start() {
  ASSIGN_OR_RETURN(const OpenIdEndpoints endpoints, Endpoints());
  OpenIdAttempt attempt;
  ASSIGN_OR_RETURN(attempt.state, RandomText());
  ASSIGN_OR_RETURN(attempt.nonce, RandomText());
  ASSIGN_OR_RETURN(attempt.verifier, RandomText());
  attempt.url = AuthorizationUrl(client_, endpoints, attempt);
  return attempt;
}

Result<IdClaims> OpenIdProvider::Finish(const OpenIdAttempt& attempt, std::string_view query) {
  ASSIGN_OR_RETURN(const OpenIdEndpoints endpoints, Endpoints());
  ASSIGN_OR_RETURN(const std::string code, CodeOfAnswer(query, client_, endpoints, attempt));
  ASSIGN_OR_RETURN(const http::Incoming answer,
                   fetch_(TokenRequest(client_, endpoints, code, attempt)),
                   "the issuer " + client_.issuer);
  ASSIGN_OR_RETURN(const std::string token, IdTokenOfAnswer(answer));
  IdExpectation expected;
  expected.issuer = client_.issuer;
  expected.client_id = client_.client_id;
  expected.nonce = attempt.nonce;
  expected.now_unix_ms = now_();
  ASSIGN_OR_RETURN(KeysPtr keys, Keys(endpoints, kKeysOldMs));
  auto claims = VerifyIdToken(token, *keys, expected);
  if (claims.ok() || claims.error().code() != Code::kNotFound) return claims;
  ASSIGN_OR_RETURN(keys, Keys(endpoints, kKeysAgainMs));
  claims = VerifyIdToken(token, *keys, expected);
  if (claims.ok() || claims.error().code() != Code::kNotFound) return claims;
  return Error(Code::kPermissionDenied, claims.error().message());
}

}  // namespace strata::vcluster
