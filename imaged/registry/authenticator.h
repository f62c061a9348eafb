// Authenticator: who asks the registry. A user logs in at the token endpoint with a password of his
// (token_book.h) and gets a bearer token for what he names; without a password he gets one that is
// nobody's. Every other request needs a bearer token, whatever it is about, so that the challenge
// tells nothing.
//
// Thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "common/http/server.h"
#include "imaged/registry/bearer.h"
#include "imaged/registry/token_book.h"

namespace strata::imaged {

class Authenticator {
 public:
  using WallClock = std::function<pki::Time()>;

  // `book` must outlive this. `scheme`: "https" or "http", what clients reach us by.
  Authenticator(TokenBook* book, BearerSigner signer, std::string scheme, WallClock now)
      : book_(book), signer_(std::move(signer)), scheme_(std::move(scheme)), now_(std::move(now)) {}

  // GET /v2/token with Basic, or POST of an OAuth 2 form (RFC 6749, 4.3 and 6; the distribution's
  // "oauth2" page): grant_type password or refresh_token. Who logs in "offline" gets a refresh
  // token: his password in another form, which ends when that is revoked. `request` outlives the
  // answer.
  http::Answer GiveToken(const http::Request& request);

  // What is asked for: "pull" or "push" of a repository. Empty: only who he is.
  struct Need {
    std::string type;
    std::string name;
    std::string action;
  };
  // Who asks, if he may ask for this at all; otherwise the answer that he gets.
  struct Verdict {
    Bearer bearer;
    std::optional<http::Response> refusal;
  };
  Verdict Judge(const http::Request& request, const Need& need);

 private:
  http::Response AnswerForm(const http::Request& request, const std::string& text);
  // `parameters` have the scopes; `refresh` is given back with the bearer, unless it is empty.
  http::Response LogIn(const std::string& user, std::string_view secret, const std::string& client,
                       const http::Fields& parameters, const std::string& refresh);
  http::Response GiveBearer(Bearer bearer, const http::Fields& parameters,
                            const std::string& refresh);
  http::Response Challenge(const http::Request& request, const Need& need) const;

  TokenBook* const book_;
  const BearerSigner signer_;
  const std::string scheme_;
  const WallClock now_;
};

}  // namespace strata::imaged
