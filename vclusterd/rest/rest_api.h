// RestApi: the REST interface of Strata (docs/rest.md): for every request it finds the route and
// who calls, reads and checks what was sent, has the route's handler answer, and puts the answer
// into HTTP. Errors are application/problem+json.
//
// Who calls shows a token: as "Authorization: Bearer …", or, browsers, as the cookie of a sign-in.
// With the cookie, changes are taken only with a header of X-Strata-Csrf, which other sites cannot
// send, and from no other origin.
//
// Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "common/http/server.h"
#include "vclusterd/rest/body_check.h"
#include "vclusterd/rest/rate_limit.h"
#include "vclusterd/rest/services.h"

namespace strata::vcluster::rest {

inline constexpr char kSessionCookie[] = "__Host-strata";
inline constexpr char kCsrfHeader[] = "X-Strata-Csrf";

struct RateLimits {
  // Of a signed-in user; of an address from which strangers ask.
  double user_per_s = 2000;
  double user_burst = 4000;
  double address_per_s = 20;
  double address_burst = 100;
};

class RestApi final : public http::Handler {
 public:
  // `services` and what it points to must outlive the result.
  static Result<std::unique_ptr<RestApi>> Create(Services& services, RateLimits limits = {});

  http::Answer Handle(const http::Request& request) override;

 private:
  struct Checks {
    std::unique_ptr<BodyCheck> query;
    std::unique_ptr<BodyCheck> body;
  };

  RestApi(Services& services, RateLimits limits)
      : services_(services),
        of_users_(limits.user_per_s, limits.user_burst),
        of_addresses_(limits.address_per_s, limits.address_burst) {}
  // Who calls; nullopt: nobody. Fills `exchange`'s caller.
  std::optional<http::Response> Recognize(const Route& route, Exchange* exchange);
  Status ReadQuery(const Route& route, Exchange* exchange) const;
  Status ReadBody(const Route& route, std::string text, Exchange* exchange) const;
  http::Response Respond(const Route& route, Exchange& exchange) const;

  Services& services_;
  std::map<const Route*, Checks> checks_;
  RateLimit of_users_;
  RateLimit of_addresses_;
};

}  // namespace strata::vcluster::rest
