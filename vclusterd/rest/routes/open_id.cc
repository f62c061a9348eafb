// Signing in with an issuer of OpenID Connect (vclusterd/users/open_id.h): the browser goes there
// and comes back. What it has to bring back is in a cookie meanwhile.
#include "common/base64url.h"
#include "vclusterd/rest/cookie.h"
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/routes.h"
#include "vclusterd/rest/routes/session_cookie.h"

namespace strata::vcluster::rest {
namespace {

// SameSite=Lax: it must come along when the issuer sends the browser back.
constexpr char kAttemptCookie[] = "__Host-strata-openid";
constexpr char kAttemptAttributes[] = "; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=";

Result<OpenIdProvider*> ProviderOf(const Exchange& exchange) {
  if (exchange.services.open_id == nullptr) {
    return Error(Code::kNotFound, "no issuer of OpenID Connect is set up here");
  }
  if (!exchange.services.options.tls) {
    return Error(Code::kUnsupported, "browsers sign in over HTTPS alone");
  }
  return exchange.services.open_id;
}

Result<Reply> Start(Exchange& exchange) {
  ASSIGN_OR_RETURN(OpenIdProvider* const provider, ProviderOf(exchange));
  ASSIGN_OR_RETURN(const OpenIdAttempt attempt, provider->Start());
  Reply reply;
  reply.status = 302;
  reply.headers = {{"Location", attempt.url},
                   {"Set-Cookie", std::string(kAttemptCookie) + "=" + Base64Url(attempt.state) +
                                      "." + Base64Url(attempt.nonce) + "." +
                                      Base64Url(attempt.verifier) + kAttemptAttributes + "600"}};
  return reply;
}

// What Start put into the cookie.
Result<OpenIdAttempt> AttemptOf(const Exchange& exchange) {
  const Error none(Code::kPermissionDenied, "this sign-in was not begun here: begin it again");
  const std::string_view value = CookieOf(exchange.request, kAttemptCookie);
  if (value.empty()) return none;
  const size_t first = value.find('.');
  const size_t second = value.find('.', first == std::string_view::npos ? first : first + 1);
  if (second == std::string_view::npos) return none;
  const auto state = ParseBase64Url(value.substr(0, first));
  const auto nonce = ParseBase64Url(value.substr(first + 1, second - first - 1));
  const auto verifier = ParseBase64Url(value.substr(second + 1));
  if (!state || !nonce || !verifier || state->empty()) return none;
  OpenIdAttempt attempt;
  attempt.state = *state;
  attempt.nonce = *nonce;
  attempt.verifier = *verifier;
  return attempt;
}

Result<Reply> Finish(Exchange& exchange) {
  ASSIGN_OR_RETURN(OpenIdProvider* const provider, ProviderOf(exchange));
  ASSIGN_OR_RETURN(const OpenIdAttempt attempt, AttemptOf(exchange));
  std::string query;
  for (const http::Field& field : exchange.request.query) {
    query += (query.empty() ? "" : "&") + http::PercentEncode(field.name) + "=" +
             http::PercentEncode(field.value);
  }
  ASSIGN_OR_RETURN(const IdClaims claims, provider->Finish(attempt, query));
  ASSIGN_OR_RETURN(const MadeToken made,
                   exchange.services.users.SignInWithClaims(claims, exchange.caller.source));
  Reply reply;
  reply.status = 302;
  reply.headers = {{"Location", "/"},
                   SessionCookie(made.text),
                   {"Set-Cookie", std::string(kAttemptCookie) + "=" + kAttemptAttributes + "0"}};
  return reply;
}

}  // namespace

void AddOpenIdRoutes(RouteTable* table) {
  Route start{"GET", "/v1/openid/start", "startOpenId", "session",
              "Sends a browser to the issuer (--openid-issuer)"};
  start.access = Access::kOpen;
  start.answers = {{302, ""}};
  start.handle = Start;
  table->Add(std::move(start));
  Route finish{"GET", "/v1/openid/callback", "finishOpenId", "session",
               "Where the issuer sends the browser back"};
  finish.access = Access::kOpen;
  for (const char* name : {"code", "state", "iss", "session_state", "error", "error_description",
                           "error_uri", "scope", "hd", "authuser", "prompt"}) {
    finish.query.push_back({name, schema::Text("Of the issuer's answer.", 8000)});
  }
  finish.answers = {{302, ""}};
  finish.exhausted_status = 429;
  finish.handle = Finish;
  table->Add(std::move(finish));
}

}  // namespace strata::vcluster::rest
