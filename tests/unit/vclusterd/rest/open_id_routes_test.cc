// Signing in with an issuer over REST: what a browser gets, keeps and brings back, and the many
// things that a forger could bring instead.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vclusterd/rest/rest_fixture.h"
#include "tests/unit/vclusterd/users/fake_issuer.h"

namespace strata::vcluster::rest {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kAttemptCookie[] = "__Host-strata-openid";
constexpr char kSessionCookie[] = "__Host-strata";

// Of what an answer sets: "NAME=VALUE; ATTRIBUTES"; empty: it does not set it.
std::string SetCookie(const Answered& answer, const std::string& name) {
  for (const http::Field& field : answer.headers) {
    if (field.name == "Set-Cookie" && field.value.starts_with(name + "=")) return field.value;
  }
  return {};
}
// What a browser sends back of it.
std::string Pair(const std::string& set) { return set.substr(0, set.find(';')); }

class OpenIdRoutesTest : public ::testing::Test {
 protected:
  OpenIdRoutesTest() {
    rest_.services().open_id = &provider_;
    EXPECT_TRUE(
        rest_.users().LinkOpenId(rest_.Of("alice"), {FakeIssuer::kIssuer, "subject-1"}).ok());
  }

  struct Begun {
    std::string cookie;  // "NAME=VALUE"
    std::string answer;  // The query with which the issuer sends the browser back.
  };
  Begun Begin() {
    const Answered start = rest_.Get("", "/v1/openid/start");
    EXPECT_EQ(start.status, 302) << start.text;
    return {Pair(SetCookie(start, kAttemptCookie)),
            issuer_.Agree(std::string(http::Find(start.headers, "Location")))};
  }
  Answered Return(const std::string& cookie, const std::string& query) {
    Asked asked{.path = "/v1/openid/callback", .query = query};
    if (!cookie.empty()) asked.headers = {{"Cookie", cookie}};
    return rest_.Ask(asked);
  }
  // Nobody is signed in by this, and the reason is told.
  void ExpectRefused(const Answered& answer, int status, const std::string& why) {
    EXPECT_EQ(answer.status, status) << answer.text;
    EXPECT_THAT(answer.text, HasSubstr(why));
    EXPECT_THAT(SetCookie(answer, kSessionCookie), IsEmpty());
    EXPECT_THAT(http::Find(answer.headers, "Location"), IsEmpty());
  }
  // By the cookie of a session that an answer has set; empty: of nobody.
  std::string NameOf(const Answered& answer) {
    const std::string cookie = Pair(SetCookie(answer, kSessionCookie));
    const Answered who = rest_.Ask({.path = "/v1/session", .headers = {{"Cookie", cookie}}});
    return who.status == 200 ? who.json.value("name", "") : "";
  }

  int64_t now_ms_ = 1'800'000'000'000;
  FakeIssuer issuer_{&now_ms_};
  OpenIdProvider provider_{
      issuer_.Client(), [this](const http::Outgoing& request) { return issuer_.Answer(request); },
      [this] { return now_ms_; }};
  TestRest rest_;
};

TEST_F(OpenIdRoutesTest, ABrowserGoesToTheIssuerAndComesBackSignedIn) {
  const Answered start = rest_.Get("", "/v1/openid/start");
  ASSERT_EQ(start.status, 302) << start.text;
  const std::string url(http::Find(start.headers, "Location"));
  EXPECT_TRUE(url.starts_with("https://id.example.org/auth?")) << url;
  const std::string attempt = SetCookie(start, kAttemptCookie);
  for (const char* part :
       {"; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age=600"}) {
    EXPECT_THAT(attempt, HasSubstr(part));
  }

  const Answered back = Return("other=1; " + Pair(attempt), issuer_.Agree(url));
  ASSERT_EQ(back.status, 302) << back.text;
  EXPECT_EQ(http::Find(back.headers, "Location"), "/");
  const std::string session = SetCookie(back, kSessionCookie);
  for (const char* part : {"; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"}) {
    EXPECT_THAT(session, HasSubstr(part));
  }
  EXPECT_EQ(NameOf(back), "alice");
  // The attempt is over for the browser, too.
  EXPECT_EQ(Pair(SetCookie(back, kAttemptCookie)), std::string(kAttemptCookie) + "=");
  EXPECT_THAT(SetCookie(back, kAttemptCookie), HasSubstr("; Max-Age=0"));

  // It is a session as any other.
  EXPECT_EQ(rest_
                .Ask({.method = "DELETE",
                      .path = "/v1/session",
                      .headers = {{"Cookie", Pair(session)}, {"X-Strata-Csrf", "1"}}})
                .status,
            204);
  EXPECT_EQ(NameOf(back), "");
}

TEST_F(OpenIdRoutesTest, AnswersToNoAttemptOfThisBrowserAreRefused) {
  const Begun mine = Begin();
  const Begun other = Begin();
  const std::string none = "not begun here";
  ExpectRefused(Return("", mine.answer), 403, none);  // As when its ten minutes are over.
  ExpectRefused(Return("x" + mine.cookie, mine.answer), 403, none);
  ExpectRefused(Return(std::string(kAttemptCookie) + "=", mine.answer), 403, none);
  // A login that was forged: the victim's browser with the attacker's code, and the other way.
  ExpectRefused(Return(mine.cookie, other.answer), 403, "another browser");
  ExpectRefused(Return(other.cookie, mine.answer), 403, "another browser");
  ExpectRefused(Return(mine.cookie, ""), 403, "another browser");
  const std::string code = mine.answer.substr(0, mine.answer.find('&'));
  const std::string iss = mine.answer.substr(mine.answer.find("&iss="));
  ExpectRefused(Return(mine.cookie, code + iss), 403, "another browser");
  ExpectRefused(Return(mine.cookie, code + "&state=" + iss), 403, "another browser");
  EXPECT_EQ(issuer_.requests("https://id.example.org/token"), 0) << "no code is tried for them";
  EXPECT_EQ(NameOf(Return(mine.cookie, mine.answer)), "alice");
}

TEST_F(OpenIdRoutesTest, AForgedCookieSignsNobodyIn) {
  const Begun mine = Begin();
  const std::string value = mine.cookie.substr(mine.cookie.find('=') + 1);
  const std::string state = value.substr(0, value.find('.'));
  const std::string nonce = value.substr(state.size() + 1, value.rfind('.') - state.size() - 1);
  const std::string verifier = value.substr(value.rfind('.') + 1);
  const std::string name = std::string(kAttemptCookie) + "=";
  for (const std::string& bad :
       {state, state + "." + nonce, "." + nonce + "." + verifier, "!." + nonce + "." + verifier,
        state + ".!." + verifier, value + "!", value + ".x"}) {
    ExpectRefused(Return(name + bad, mine.answer), 403, "not begun here");
  }
  // The state alone can be read in the address: the rest of the cookie cannot be guessed.
  ExpectRefused(Return(name + state + "." + nonce + "." + Base64Url("guessed"), mine.answer), 403,
                "invalid_grant");
  ExpectRefused(Return(name + state + "." + Base64Url("guessed") + "." + verifier, mine.answer),
                403, "another sign-in");
}

TEST_F(OpenIdRoutesTest, ACallbackIsGoodOnce) {
  const Begun begun = Begin();
  ASSERT_EQ(NameOf(Return(begun.cookie, begun.answer)), "alice");
  ExpectRefused(Return(begun.cookie, begun.answer), 403, "invalid_grant");
}

TEST_F(OpenIdRoutesTest, WhomTheIssuerRefusesIsNotSignedIn) {
  const Begun begun = Begin();
  const std::string rest = begun.answer.substr(begun.answer.find('&'));
  ExpectRefused(Return(begun.cookie, "error=access_denied" + rest), 403, "access_denied");
  ExpectRefused(Return(begun.cookie, "code=of-nobody" + rest), 403, "invalid_grant");
  issuer_.down = true;
  ExpectRefused(Return(begun.cookie, begun.answer), 503, "nobody answers");
  issuer_.down = false;
  issuer_.other_claims = {{"exp", now_ms_ / 1000 - 3600}};
  ExpectRefused(Return(begun.cookie, begun.answer), 403, "has ended");
}

TEST_F(OpenIdRoutesTest, WhoeverHasNoActiveAccountGetsNoSession) {
  issuer_.other_claims = {{"sub", "of-nobody"}};
  const Begun stranger = Begin();
  ExpectRefused(Return(stranger.cookie, stranger.answer), 403, "no account here");
  issuer_.other_claims = {};
  AccountEdit lock;
  lock.status = users::v1::LOCKED;
  ASSERT_TRUE(rest_.users().EditAccount(kRoot, rest_.uids["alice"], lock).ok());
  const Begun alice = Begin();
  ExpectRefused(Return(alice.cookie, alice.answer), 403, "locked");
}

TEST_F(OpenIdRoutesTest, CookiesAreGivenOutOverHttpsAlone) {
  const Begun begun = Begin();
  rest_.services().options.tls = false;
  const Answered start = rest_.Get("", "/v1/openid/start");
  ExpectRefused(start, 501, "HTTPS");
  EXPECT_THAT(SetCookie(start, kAttemptCookie), IsEmpty());
  ExpectRefused(Return(begun.cookie, begun.answer), 501, "HTTPS");
}

}  // namespace
}  // namespace strata::vcluster::rest
