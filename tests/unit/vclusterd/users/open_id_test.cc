// OpenID Connect: tokens that are good, the many ways in which they are not, and a whole sign-in.
#include "vclusterd/users/open_id.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vclusterd/users/fake_issuer.h"
#include "tests/unit/vclusterd/users/users_fixture.h"

namespace strata::vcluster {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class IdTokenTest : public testing::Test {
 protected:
  IdTokenTest() : issuer_(&clock_.now_ms), rsa_(SharedRsaKey()) {
    keys_ = {{"keys", {issuer_.key().Jwk(), rsa_.Jwk()}}};
  }
  IdExpectation Expected() {
    IdExpectation expected;
    expected.issuer = FakeIssuer::kIssuer;
    expected.client_id = "strata";
    expected.nonce = "n-1";
    expected.now_unix_ms = clock_.now_ms;
    return expected;
  }
  // "subject-1", or what is wrong with the token.
  std::string Verify(const std::string& token) {
    const auto keys = JwkSet::Parse(keys_.dump());
    EXPECT_TRUE(keys.ok());
    const auto claims = VerifyIdToken(token, *keys, Expected());
    return claims.ok() ? claims->subject : claims.error().message();
  }
  std::string With(const json& changed) {
    json claims = issuer_.Claims("n-1");
    claims.update(changed);
    return Verify(issuer_.key().Token(claims));
  }
  std::string Without(const char* claim) {
    json claims = issuer_.Claims("n-1");
    claims.erase(claim);
    return Verify(issuer_.key().Token(claims));
  }

  FakeClock clock_;
  FakeIssuer issuer_;
  const SigningKey& rsa_;
  json keys_;

 private:
  // It takes a while to find one.
  static const SigningKey& SharedRsaKey() {
    static const SigningKey key(SigningKey::Kind::kRsa, "r1");
    return key;
  }
};

TEST_F(IdTokenTest, TokensOfBothAlgorithmsAreGood) {
  EXPECT_EQ(Verify(issuer_.key().Token(issuer_.Claims("n-1"))), "subject-1");
  EXPECT_EQ(Verify(rsa_.Token(issuer_.Claims("n-1"))), "subject-1");
  EXPECT_EQ(Verify(rsa_.Token(issuer_.Claims("n-1"), {{"kid", nullptr}})).substr(0, 10),
            "the issuer")
      << "an id that is no text";
}

TEST_F(IdTokenTest, WhatItSaysOfTheUserIsTaken) {
  const auto keys = JwkSet::Parse(keys_.dump());
  json claims = issuer_.Claims("n-1");
  auto said = VerifyIdToken(rsa_.Token(claims), *keys, Expected());
  ASSERT_TRUE(said.ok());
  EXPECT_EQ(said->user_name, "alice");
  EXPECT_EQ(said->real_name, "Alice Smith");
  EXPECT_EQ(said->mail, "alice@example.org");
  claims["email_verified"] = "true";
  said = VerifyIdToken(rsa_.Token(claims), *keys, Expected());
  EXPECT_EQ(said->mail, "") << "nobody has verified it";
}

TEST_F(IdTokenTest, OnlyASignatureOfTheIssuersKeyCounts) {
  const SigningKey stranger(SigningKey::Kind::kEc, "k1");
  const json claims = issuer_.Claims("n-1");
  EXPECT_THAT(Verify(stranger.Token(claims)), HasSubstr("signature is wrong"));
  EXPECT_THAT(Verify(issuer_.key().Token(claims, {{"kid", "k2"}})), HasSubstr("none of"));
  EXPECT_THAT(Verify(issuer_.key().Token(claims, {{"kid", "r1"}})), HasSubstr("none of"))
      << "a key of the other kind";
  std::string token = issuer_.key().Token(claims);
  token[token.size() / 2] = token[token.size() / 2] == 'A' ? 'B' : 'A';
  EXPECT_NE(Verify(token), "subject-1");
  const std::string good = issuer_.key().Token(claims);
  EXPECT_NE(Verify(good.substr(0, good.rfind('.') + 1)), "subject-1") << "no signature";
  EXPECT_NE(Verify(good.substr(0, good.size() - 4)), "subject-1");
}

TEST_F(IdTokenTest, NoTokenChoosesItsAlgorithm) {
  const json claims = issuer_.Claims("n-1");
  for (const char* algorithm : {"none", "None", "HS256", "RS512", "", "ES256K"}) {
    EXPECT_THAT(Verify(rsa_.Token(claims, {{"alg", algorithm}})), HasSubstr("algorithm"));
  }
  EXPECT_NE(Verify(rsa_.Token(claims, {{"alg", "ES256"}})), "subject-1");
  EXPECT_THAT(Verify(rsa_.Token(claims, {{"crit", {"exp"}}, {"exp", 1}})), HasSubstr("extensions"));
}

TEST_F(IdTokenTest, ItMustBeOfTheIssuerForUsAndForThisSignIn) {
  EXPECT_THAT(With({{"iss", "https://id.example.org/realm/"}}), HasSubstr("another issuer"));
  EXPECT_THAT(Without("iss"), HasSubstr("another issuer"));
  EXPECT_THAT(With({{"aud", "other"}}), HasSubstr("somebody else"));
  EXPECT_THAT(With({{"aud", json::array()}}), HasSubstr("somebody else"));
  EXPECT_THAT(With({{"aud", {{"strata", 1}}}}), HasSubstr("somebody else"));
  EXPECT_THAT(Without("aud"), HasSubstr("nobody"));
  EXPECT_EQ(With({{"aud", {"strata"}}}), "subject-1");
  EXPECT_THAT(With({{"aud", {"strata", "other"}}}), HasSubstr("made for somebody else"));
  EXPECT_EQ(With({{"aud", {"strata", "other"}}, {"azp", "strata"}}), "subject-1");
  EXPECT_THAT(With({{"azp", "other"}}), HasSubstr("made for somebody else"));
  EXPECT_THAT(With({{"nonce", "n-2"}}), HasSubstr("another sign-in"));
  EXPECT_THAT(Without("nonce"), HasSubstr("another sign-in"));
  EXPECT_THAT(With({{"sub", ""}}), HasSubstr("nobody"));
  EXPECT_THAT(With({{"sub", 5}}), HasSubstr("nobody"));
  EXPECT_THAT(With({{"sub", std::string(256, 'a')}}), HasSubstr("nobody"));
}

TEST_F(IdTokenTest, ItIsGoodForItsTimeGiveOrTakeAMinute) {
  const int64_t now = clock_.now_ms / 1000;
  EXPECT_EQ(With({{"exp", now - 59}}), "subject-1");
  EXPECT_THAT(With({{"exp", now - 60}}), HasSubstr("has ended"));
  EXPECT_EQ(With({{"exp", static_cast<double>(now) + 0.5}}), "subject-1");
  EXPECT_THAT(With({{"exp", "9999999999"}}), HasSubstr("when"));
  EXPECT_THAT(With({{"exp", -1}}), HasSubstr("when"));
  EXPECT_THAT(With({{"exp", 1e300}}), HasSubstr("when"));
  EXPECT_THAT(Without("exp"), HasSubstr("when"));
  EXPECT_THAT(Without("iat"), HasSubstr("when"));
  EXPECT_THAT(With({{"iat", now + 61}}), HasSubstr("future"));
  EXPECT_THAT(With({{"nbf", now + 61}}), HasSubstr("not good yet"));
}

TEST_F(IdTokenTest, WhatIsNoTokenIsRefused) {
  const std::string good = issuer_.key().Token(issuer_.Claims("n-1"));
  for (const std::string& bad :
       {std::string(), std::string("a"), std::string("a.b"), std::string("a.b.c"),
        std::string("..."), good + ".x", good + "=", " " + good, std::string(20'000, 'a'),
        "e30" + good.substr(good.find('.'))}) {
    EXPECT_NE(Verify(bad), "subject-1") << bad.substr(0, 20);
  }
}

TEST_F(IdTokenTest, KeysThatAreNotForThisOrTooWeakArePassedOver) {
  json ec = issuer_.key().Jwk();
  const auto count = [](const json& key) {
    const auto set = JwkSet::Parse(json{{"keys", {key}}}.dump());
    return set.ok() ? static_cast<int>(set->size()) : -1;
  };
  EXPECT_EQ(count(ec), 1);
  json bad = ec;
  bad["use"] = "enc";
  EXPECT_EQ(count(bad), 0);
  bad = ec;
  bad["alg"] = "ES512";
  EXPECT_EQ(count(bad), 0);
  bad = ec;
  bad["x"] = Base64Url(std::string(32, 'x'));
  EXPECT_EQ(count(bad), 0) << "no point of the curve";
  bad["kty"] = "oct";
  EXPECT_EQ(count(bad), 0);
  EXPECT_EQ(count(SigningKey(SigningKey::Kind::kRsa, "weak", 1024).Jwk()), 0);
  bad = rsa_.Jwk();
  bad["e"] = Base64Url(std::string(1, '\1'));
  EXPECT_EQ(count(bad), 0) << "everything would be signed";
  bad["e"] = Base64Url(std::string(256, '\x7f'));
  EXPECT_EQ(count(bad), 0) << "it would take seconds";
  EXPECT_EQ(count("text"), 0);
  EXPECT_FALSE(JwkSet::Parse("{}").ok());
  EXPECT_FALSE(JwkSet::Parse("[]").ok());
  EXPECT_FALSE(JwkSet::Parse(json{{"keys", std::vector<int>(101, 1)}}.dump()).ok());
  EXPECT_FALSE(JwkSet::Parse(std::string(kJwkSetBytesMax + 1, ' ')).ok());
}

TEST_F(IdTokenTest, WithoutAnIdTheOnlyKeyOfItsKindIsMeant) {
  json claims = issuer_.Claims("n-1");
  json header = {{"alg", "RS256"}};
  const std::string data = Base64Url(header.dump()) + "." + Base64Url(claims.dump());
  const std::string token = data + "." + Base64Url(rsa_.Sign(data));
  EXPECT_EQ(Verify(token), "subject-1");
  keys_["keys"].push_back(SigningKey(SigningKey::Kind::kRsa, "r2").Jwk());
  EXPECT_THAT(Verify(token), HasSubstr("none of")) << "which of the two?";
}

TEST(OpenId, TheRfcsSignatureIsGoodAndItsClaimsAreNotForUs) {  // RFC 7515, appendix A.3.
  const auto keys = JwkSet::Parse(
      R"({"keys": [{"kty": "EC", "crv": "P-256",
          "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
          "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})");
  ASSERT_TRUE(keys.ok());
  const auto claims = VerifyIdToken(
      "eyJhbGciOiJFUzI1NiJ9"
      ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cn"
      "VlfQ"
      ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
      *keys, {"joe", "strata", "n", 1'300'000'000'000});
  EXPECT_EQ(claims.error().message(), "the issuer's token is not good: it is for nobody");
}

TEST(OpenId, TheChallengeIsThatOfTheRfc) {  // RFC 7636, appendix B.
  EXPECT_EQ(ChallengeOf("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

TEST(OpenId, EndpointsAreTheIssuersAndHttps) {
  const json good = {{"issuer", "https://i.org"},
                     {"authorization_endpoint", "https://i.org/a"},
                     {"token_endpoint", "https://i.org/t"},
                     {"jwks_uri", "https://i.org/k"}};
  EXPECT_TRUE(ParseDiscovery(good.dump(), "https://i.org").ok());
  EXPECT_FALSE(ParseDiscovery(good.dump(), "https://i.org/").ok());
  for (const char* url : {"http://i.org/t", "", "file:///etc/passwd", "http://127.0.0.1.evil.org/",
                          "http://localhost.evil.org:80/"}) {
    json bad = good;
    bad["token_endpoint"] = url;
    EXPECT_FALSE(ParseDiscovery(bad.dump(), "https://i.org").ok()) << url;
  }
  json local = good;
  local["token_endpoint"] = "http://127.0.0.1:8080/t";
  EXPECT_TRUE(ParseDiscovery(local.dump(), "https://i.org").ok());
  EXPECT_EQ(DiscoveryUrl("https://i.org/r/"), "https://i.org/r/.well-known/openid-configuration");
}

class OpenIdProviderTest : public testing::Test {
 protected:
  OpenIdAttempt Start() {
    auto attempt = provider_.Start();
    EXPECT_TRUE(attempt.ok()) << attempt.error().message();
    return *attempt;
  }
  // "subject-1", or the refusal.
  std::string Finish(const OpenIdAttempt& attempt, const std::string& query) {
    const auto claims = provider_.Finish(attempt, query);
    return claims.ok() ? claims->subject : claims.error().message();
  }

  FakeClock clock_;
  FakeIssuer issuer_{&clock_.now_ms};
  OpenIdProvider provider_{
      issuer_.Client(), [this](const http::Outgoing& request) { return issuer_.Answer(request); },
      clock_.clock()};
};

TEST_F(OpenIdProviderTest, AWholeSignIn) {
  const OpenIdAttempt attempt = Start();
  EXPECT_TRUE(attempt.url.starts_with("https://id.example.org/auth?response_type=code&"));
  EXPECT_EQ(attempt.url.find(attempt.verifier), std::string::npos) << "the verifier stays here";
  const std::string query = issuer_.Agree(attempt.url);
  EXPECT_EQ(Finish(attempt, query), "subject-1");
  EXPECT_THAT(Finish(attempt, query), HasSubstr("invalid_grant")) << "a code is good once";
}

TEST_F(OpenIdProviderTest, AnswersOfOtherBrowsersAndIssuersAreRefused) {
  const OpenIdAttempt victim = Start();
  const OpenIdAttempt attacker = Start();
  const std::string query = issuer_.Agree(attacker.url);
  EXPECT_THAT(Finish(victim, query), HasSubstr("another browser"));
  // Even with the state of the victim, the code is of another verifier.
  const std::string forged = query.substr(0, query.find("&state")) + "&state=" + victim.state +
                             "&iss=" + http::PercentEncode(FakeIssuer::kIssuer);
  EXPECT_THAT(Finish(victim, forged), HasSubstr("invalid_grant"));
  const std::string code = query.substr(0, query.find("&iss"));
  EXPECT_THAT(Finish(attacker, code), HasSubstr("another issuer"));
  EXPECT_THAT(Finish(attacker, code + "&iss=https%3A%2F%2Fevil.org"), HasSubstr("another issuer"));
  EXPECT_THAT(Finish(attacker, query + "&state=" + attacker.state), HasSubstr("twice"));
  EXPECT_THAT(Finish(attacker, ""), HasSubstr("another browser"));
  EXPECT_THAT(Finish({}, "state=&code=x"), HasSubstr("another browser"));
  EXPECT_EQ(Finish(attacker, query), "subject-1");
}

TEST_F(OpenIdProviderTest, TheIssuersRefusalIsTold) {
  const OpenIdAttempt attempt = Start();
  EXPECT_EQ(
      Finish(attempt, "error=access_denied&error_description=not%0Atoday&iss=" +
                          http::PercentEncode(FakeIssuer::kIssuer) + "&state=" + attempt.state),
      "the issuer refuses: access_denied (not\\x0atoday)");
}

TEST_F(OpenIdProviderTest, ATokenOfAnotherSignInIsRefused) {
  issuer_.other_claims = {{"nonce", "of another"}};
  const OpenIdAttempt attempt = Start();
  EXPECT_THAT(Finish(attempt, issuer_.Agree(attempt.url)), HasSubstr("another sign-in"));
}

TEST_F(OpenIdProviderTest, KeysAreFetchedAgainForANewOneButNotMoreThanOnceInAMinute) {
  const auto sign_in = [&] {
    const OpenIdAttempt attempt = Start();
    return Finish(attempt, issuer_.Agree(attempt.url));
  };
  for (int i = 0; i < 10; ++i) EXPECT_EQ(sign_in(), "subject-1");
  EXPECT_EQ(issuer_.requests("https://id.example.org/keys"), 1);
  issuer_.NewKey("k2");
  EXPECT_THAT(sign_in(), HasSubstr("none of")) << "it was fetched a moment ago";
  clock_.now_ms += kMinuteMs;
  EXPECT_EQ(sign_in(), "subject-1");
  EXPECT_EQ(issuer_.requests("https://id.example.org/keys"), 2);
  EXPECT_EQ(issuer_.requests(DiscoveryUrl(FakeIssuer::kIssuer)), 1);
}

TEST_F(OpenIdProviderTest, AnIssuerThatIsDownIsUnavailable) {
  issuer_.down = true;
  EXPECT_EQ(CodeOf(provider_.Start()), Code::kUnavailable);
  issuer_.down = false;
  const OpenIdAttempt attempt = Start();
  issuer_.down = true;
  EXPECT_EQ(CodeOf(provider_.Finish(attempt, issuer_.Agree(attempt.url))), Code::kUnavailable);
}

}  // namespace
}  // namespace strata::vcluster
