// Any bytes as what an issuer of OpenID Connect, and the browsers that come from it, may send:
// keys, tokens, claims, endpoints, answers. An error, or what was expected; never a token whose
// signature is not of the key.
//   build/fuzz/bin/make_id_token_seeds CORPUS && build/fuzz/bin/fuzz_id_token CORPUS
#include <cstdint>
#include <string>

#include "common/base64url.h"
#include "common/log.h"
#include "vclusterd/users/id_token.h"
#include "vclusterd/users/open_id.h"

namespace strata::vcluster {
namespace {

// RFC 7515, appendix A.3.
constexpr char kKeys[] =
    R"({"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
    R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})";

void Try(std::string_view input) {
  static const JwkSet keys = *JwkSet::Parse(kKeys);
  static const IdExpectation expected{"joe", "strata", "n", 1'300'000'000'000};
  CHECK(!VerifyIdToken(input, keys, expected).ok());
  // Behind the head, with a signature that is one in form.
  CHECK(!VerifyIdToken(
             "eyJhbGciOiJFUzI1NiJ9." + Base64Url(input) + "." + Base64Url(std::string(64, '\1')),
             keys, expected)
             .ok());
  const auto claims = CheckIdClaims(input, expected);
  if (claims.ok()) CHECK(claims->issuer == expected.issuer && !claims->subject.empty());
  const auto set = JwkSet::Parse(input);
  if (set.ok()) {
    CHECK(set->size() <= kJwkSetKeysMax);
    CHECK(!VerifyIdToken("eyJhbGciOiJFUzI1NiJ9.e30." + Base64Url(std::string(64, '\1')), *set,
                         expected)
               .ok());
  }
  OpenIdClient client;
  client.issuer = "joe";
  const auto endpoints = ParseDiscovery(input, "joe");
  if (endpoints.ok()) CHECK(!endpoints->token.empty());
  OpenIdAttempt attempt;
  attempt.state = "s";
  const auto code = CodeOfAnswer(input, client, OpenIdEndpoints(), attempt);
  if (code.ok()) CHECK(!code->empty());
  http::Incoming answer;
  answer.status = 200;
  answer.text = input;
  (void)IdTokenOfAnswer(answer);
}

}  // namespace
}  // namespace strata::vcluster

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  strata::vcluster::Try({reinterpret_cast<const char*>(data), size});
  return 0;
}
