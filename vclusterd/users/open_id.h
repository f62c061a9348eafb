// Signing in with an issuer of OpenID Connect: the authorization code flow with PKCE (OpenID
// Connect Core 1.0, section 3.1; RFC 7636; RFC 9207). Functions that make what is sent and check
// what comes back, and OpenIdProvider, which asks the issuer by way of a function that it is given.
//
//   browser -> Strata: sign in         OpenIdProvider::Start; `state`, `nonce` and `verifier` go
//   into
//                                      a cookie of the browser (HttpOnly, Secure, SameSite=Lax)
//   browser -> issuer                  by the URL
//   browser -> Strata: code and state  OpenIdProvider::Finish with the cookie's values
//   Strata -> issuer: code -> token    within Finish
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "common/http/client.h"
#include "common/result.h"
#include "vclusterd/users/id_token.h"
#include "vclusterd/users/unix_clock.h"

namespace strata::vcluster {

// What the issuer's admin gave to Strata's.
struct OpenIdClient {
  std::string issuer;  // As it calls itself: "https://id.example.org/realm".
  std::string client_id;
  std::string client_secret;  // Empty: a public client.
  std::string redirect_uri;   // Where browsers come back to.
  std::string scope = "openid profile email";
};

// What the issuer says of itself (OpenID Connect Discovery 1.0).
struct OpenIdEndpoints {
  std::string authorization;
  std::string token;
  std::string keys;
  bool names_itself = false;  // Its answers have "iss" (RFC 9207).
};

// One sign-in, as long as the browser is away.
struct OpenIdAttempt {
  std::string state;
  std::string nonce;
  std::string verifier;  // PKCE's secret.
  std::string url;       // Where the browser goes.
};

// "<issuer>/.well-known/openid-configuration"
std::string DiscoveryUrl(const std::string& issuer);
// kInvalidArgument: it is another issuer's, or endpoints are neither https nor of this host.
Result<OpenIdEndpoints> ParseDiscovery(std::string_view json, const std::string& issuer);
// The S256 challenge of PKCE.
std::string ChallengeOf(const std::string& verifier);
std::string AuthorizationUrl(const OpenIdClient& client, const OpenIdEndpoints& endpoints,
                             const OpenIdAttempt& attempt);
// The code in what the browser brings back ("code=…&state=…"). kPermissionDenied: it is no answer
// to this attempt, or the issuer refused.
Result<std::string> CodeOfAnswer(std::string_view query, const OpenIdClient& client,
                                 const OpenIdEndpoints& endpoints, const OpenIdAttempt& attempt);
http::Outgoing TokenRequest(const OpenIdClient& client, const OpenIdEndpoints& endpoints,
                            const std::string& code, const OpenIdAttempt& attempt);
// kPermissionDenied: the issuer takes the code for none; kUnavailable: it has other troubles.
Result<std::string> IdTokenOfAnswer(const http::Incoming& answer);

// Thread-safe. Remembers endpoints for a day and keys for an hour; for a key that it does not know,
// it looks again once in a minute.
class OpenIdProvider {
 public:
  // Asks the issuer; follows no redirect to another place than https.
  using Fetch = std::function<Result<http::Incoming>(const http::Outgoing&)>;

  OpenIdProvider(OpenIdClient client, Fetch fetch, UnixClock now)
      : client_(std::move(client)), fetch_(std::move(fetch)), now_(std::move(now)) {}

  // kUnavailable: the issuer does not answer.
  Result<OpenIdAttempt> Start();
  // `attempt` is what Start made, but for its URL. The codes are those of the functions above.
  Result<IdClaims> Finish(const OpenIdAttempt& attempt, std::string_view query);

 private:
  using KeysPtr = std::shared_ptr<const JwkSet>;
  Result<OpenIdEndpoints> Endpoints();
  Result<KeysPtr> Keys(const OpenIdEndpoints& endpoints, int64_t age_ms_max);
  Result<std::string> Get(const std::string& url);

  const OpenIdClient client_;
  const Fetch fetch_;
  const UnixClock now_;
  std::mutex mutex_;  // Guards what follows; not held while the issuer is asked.
  std::optional<OpenIdEndpoints> endpoints_;
  int64_t endpoints_ms_ = 0;
  KeysPtr keys_;
  int64_t keys_ms_ = 0;
};

}  // namespace strata::vcluster
