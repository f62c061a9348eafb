// Who may ask the registry for what: challenges, bearer tokens and their scopes.
#include "imaged/registry/authenticator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "common/file_io.h"
#include "tests/unit/catalog/fake_accounts.h"

namespace strata::imaged {
namespace {

using testing::HasSubstr;

constexpr uid_t kAlice = 50'001;

class AuthenticatorTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_.emplace(*TemporaryDirectory::Create("/var/tmp", "strata-auth."));
    accounts_.AddUser("alice", kAlice);
    book_ = std::move(*TokenBook::Open(directory_->path() + "/tokens.json", accounts_));
    authenticator_.emplace(book_.get(), std::move(*BearerSigner::Create()), "https",
                           [this] { return now_; });
  }
  v1::CreateTokenResponse Create(bool read_only = false) {
    v1::CreateTokenRequest request;
    request.set_read_only(read_only);
    return *book_->Create(kAlice, request, now_);
  }
  http::Response Ask(const std::string& password, const std::vector<std::string>& scopes) {
    http::Request request;
    request.method = "GET";
    request.client = "1.2.3.4";
    for (const std::string& scope : scopes) request.query.push_back({"scope", scope});
    if (!password.empty()) {
      request.headers.push_back({"authorization", "Basic " + http::Base64("alice:" + password)});
    }
    return std::get<http::Response>(authenticator_->GiveToken(request));
  }
  // As containerd and `docker login` do.
  http::Response Post(const http::Fields& form,
                      const std::string& type = "application/x-www-form-urlencoded") {
    std::string text;
    for (const http::Field& field : form) {
      text += (text.empty() ? "" : "&") + field.name + "=" + http::PercentEncode(field.value);
    }
    http::Request request;
    request.method = "POST";
    request.client = "1.2.3.4";
    request.headers = {{"Content-Type", type}};
    http::Answer answer = authenticator_->GiveToken(request);
    auto& sink = std::get<std::unique_ptr<http::BodySink>>(answer);
    for (size_t at = 0; at < text.size(); at += 100) {
      if (auto refusal = sink->Write(std::string_view(text).substr(at, 100))) {
        return std::move(*refusal);
      }
    }
    return sink->Finish();
  }
  static std::string TokenOf(const http::Response& response) {
    return nlohmann::json::parse(response.text).value("token", "");
  }
  Authenticator::Verdict Judge(const std::string& bearer, const Authenticator::Need& need) {
    http::Request request;
    request.headers = {{"Host", "images.lab:5000"}};
    if (!bearer.empty()) request.headers.push_back({"Authorization", "Bearer " + bearer});
    return authenticator_->Judge(request, need);
  }
  // 0: he may.
  int StatusOf(const std::string& bearer, const Authenticator::Need& need) {
    const auto verdict = Judge(bearer, need);
    return verdict.refusal ? verdict.refusal->status : 0;
  }

  std::optional<TemporaryDirectory> directory_;
  FakeAccounts accounts_;
  std::unique_ptr<TokenBook> book_;
  std::optional<Authenticator> authenticator_;
  pki::Time now_ = std::chrono::system_clock::from_time_t(1'800'000'000);
};

const Authenticator::Need kPull{"repository", "alice/spark", "pull"};
const Authenticator::Need kPush{"repository", "alice/spark", "push"};
const Authenticator::Need kLogin{};

TEST_F(AuthenticatorTest, WithoutATokenEverythingIsAChallenge) {
  const auto verdict = Judge("", kPush);
  ASSERT_TRUE(verdict.refusal);
  EXPECT_EQ(verdict.refusal->status, 401);
  EXPECT_EQ(http::Find(verdict.refusal->headers, "WWW-Authenticate"),
            "Bearer realm=\"https://images.lab:5000/v2/token\",service=\"strata\","
            "scope=\"repository:alice/spark:pull,push\"");
  EXPECT_EQ(StatusOf("", kLogin), 401);
}

TEST_F(AuthenticatorTest, AUserGetsWhatHeAsksForAndNothingElse) {
  const auto created = Create();
  const std::string bearer = TokenOf(Ask(created.secret(), {"repository:alice/spark:pull,push"}));
  const auto verdict = Judge(bearer, kPush);
  EXPECT_FALSE(verdict.refusal);
  EXPECT_EQ(verdict.bearer.uid, kAlice);
  EXPECT_EQ(StatusOf(bearer, kPull), 0);
  EXPECT_EQ(StatusOf(bearer, kLogin), 0);
  EXPECT_EQ(StatusOf(bearer, {"repository", "alice/other", "pull"}), 401);
  EXPECT_EQ(StatusOf(bearer, {"registry", "catalog", "*"}), 401);
  EXPECT_EQ(StatusOf(TokenOf(Ask(created.secret(), {"registry:catalog:*"})),
                     {"registry", "catalog", "*"}),
            0);
}

TEST_F(AuthenticatorTest, AStrangerMayOnlyPullAsNobody) {
  const std::string bearer = TokenOf(Ask("", {"repository:alice/spark:pull,push"}));
  const auto verdict = Judge(bearer, kPull);
  EXPECT_FALSE(verdict.refusal);
  EXPECT_EQ(verdict.bearer.uid, kAnonymousUid);
  EXPECT_EQ(StatusOf(bearer, kPush), 401);
}

TEST_F(AuthenticatorTest, AReadOnlyTokenDoesNotPush) {
  const auto created = Create(true);
  const std::string bearer = TokenOf(Ask(created.secret(), {"repository:alice/spark:*"}));
  EXPECT_EQ(StatusOf(bearer, kPull), 0);
  EXPECT_EQ(StatusOf(bearer, kPush), 403);
}

TEST_F(AuthenticatorTest, AWrongPasswordIsRefusedAndGuessingSlowedDown) {
  const auto created = Create();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Ask("wrong", {}).status, 401);
  EXPECT_EQ(Ask(created.secret(), {}).status, 429);
  EXPECT_EQ(Ask("", {}).status, 200) << "strangers are not guessing";
  http::Request request;
  request.method = "GET";
  request.client = "5.6.7.8";
  request.headers = {{"Authorization", "Basic not-base64!"}};
  EXPECT_EQ(std::get<http::Response>(authenticator_->GiveToken(request)).status, 401);
}

TEST_F(AuthenticatorTest, AFormLogsInAsBasicDoes) {
  const auto created = Create();
  const std::string scope = "repository:alice/spark:pull,push registry:catalog:*";
  http::Fields form = {{"grant_type", "password"},     {"username", "alice"},
                       {"password", created.secret()}, {"client_id", "containerd"},
                       {"service", "strata"},          {"scope", scope}};
  const http::Response once = Post(form);
  EXPECT_EQ(once.status, 200) << once.text;
  EXPECT_EQ(http::Find(once.headers, "Cache-Control"), "no-store");
  EXPECT_EQ(StatusOf(TokenOf(once), kPush), 0);
  EXPECT_EQ(StatusOf(TokenOf(once), {"registry", "catalog", "*"}), 0);
  EXPECT_EQ(StatusOf(TokenOf(once), {"repository", "alice/other", "pull"}), 401);
  EXPECT_FALSE(nlohmann::json::parse(once.text).contains("refresh_token")) << "not asked for";

  form.push_back({"access_type", "offline"});
  const std::string refresh = nlohmann::json::parse(Post(form).text).at("refresh_token");
  const http::Fields again = {
      {"grant_type", "refresh_token"}, {"refresh_token", refresh}, {"scope", scope}};
  EXPECT_EQ(StatusOf(TokenOf(Post(again)), kPush), 0);
  now_ += std::chrono::hours(24);
  EXPECT_EQ(StatusOf(TokenOf(Post(again)), kPush), 0) << "it lives as long as the password";
  ASSERT_TRUE(book_->Revoke(kAlice, created.token().id()).ok());
  EXPECT_EQ(Post(again).status, 401);
  EXPECT_EQ(Post(form).status, 401);
}

TEST(Forms, HaveNoZeroBytes) {
  EXPECT_FALSE(http::ParseQuery(std::string_view("a=b\0c", 5)).ok());
  EXPECT_FALSE(http::ParseQuery("a=b%00c").ok());
  EXPECT_FALSE(http::PercentDecode(std::string_view("\0", 1)).ok());
}

TEST_F(AuthenticatorTest, AFormDoesNotPushWithAReadOnlyToken) {
  const http::Fields form = {{"grant_type", "password"},
                             {"username", "alice"},
                             {"password", Create(true).secret()},
                             {"scope", "repository:alice/spark:pull,push"}};
  EXPECT_EQ(StatusOf(TokenOf(Post(form)), kPull), 0);
  EXPECT_EQ(StatusOf(TokenOf(Post(form)), kPush), 403);
}

TEST_F(AuthenticatorTest, FormsThatAreNoneAreRefusedAndGuessesCount) {
  const std::string secret = Create().secret();
  EXPECT_EQ(Post({{"grant_type", "client_credentials"}}).status, 400);
  EXPECT_EQ(Post({}).status, 400);
  EXPECT_EQ(Post({{"grant_type", "password"}}, "application/json").status, 415);
  EXPECT_EQ(Post({{"grant_type", "refresh_token"}, {"refresh_token", "!"}}).status, 401);
  EXPECT_EQ(Post({{"grant_type", "password"}, {"password", std::string(20'000, 'p')}}).status, 413);
  EXPECT_EQ(Post(http::Fields(100, {"scope", "repository:alice/spark:pull"})).status, 400);
  const http::Fields empty = {{"grant_type", "password"}, {"username", ""}, {"password", ""}};
  EXPECT_EQ(Post(empty).status, 401) << "a stranger asks with GET";
  for (int i = 1; i < 10; ++i) {
    EXPECT_EQ(
        Post({{"grant_type", "refresh_token"}, {"refresh_token", http::Base64("alice:wrong")}})
            .status,
        401);
  }
  EXPECT_EQ(Ask(secret, {}).status, 429);
}

TEST_F(AuthenticatorTest, ABearerTokenEndsWithItsTimeAndWithItsPassword) {
  const auto created = Create();
  const std::string first = TokenOf(Ask(created.secret(), {}));
  now_ += kBearerLife + std::chrono::seconds(1);
  EXPECT_EQ(StatusOf(first, kLogin), 401);
  const std::string second = TokenOf(Ask(created.secret(), {}));
  EXPECT_EQ(StatusOf(second, kLogin), 0);
  ASSERT_TRUE(book_->Revoke(kAlice, created.token().id()).ok());
  EXPECT_EQ(StatusOf(second, kLogin), 401);
}

TEST_F(AuthenticatorTest, AForgedOrChangedBearerTokenIsNone) {
  const std::string bearer = TokenOf(Ask(Create().secret(), {"repository:alice/spark:pull"}));
  for (size_t i = 0; i < bearer.size(); ++i) {
    std::string other = bearer;
    other[i] = other[i] == 'A' ? 'B' : 'A';
    EXPECT_EQ(StatusOf(other, kPull), 401) << i;
  }
  EXPECT_EQ(StatusOf(bearer.substr(0, bearer.size() - 1), kPull), 401);
  EXPECT_EQ(StatusOf(bearer.substr(0, bearer.find('.') + 1), kPull), 401);
  EXPECT_EQ(StatusOf(std::string(100'000, 'A'), kPull), 401);
  // Of another process, or of this one before it was started anew.
  Bearer root;
  root.uid = 0;
  root.scopes = {{"repository", "alice/spark", {"pull"}}};
  EXPECT_EQ(StatusOf(BearerSigner::Create()->Sign(root, now_), kPull), 401);
}

TEST_F(AuthenticatorTest, AHostFieldCannotLeadElsewhereWithinTheChallenge) {
  http::Request request;
  request.headers = {{"Host", "a\",service=\"evil"}};
  const auto verdict = authenticator_->Judge(request, kLogin);
  EXPECT_THAT(std::string(http::Find(verdict.refusal->headers, "WWW-Authenticate")),
              HasSubstr("https://localhost/v2/token"));
}

TEST(Scopes, AreReadWithinLimits) {
  const auto scope = ParseScope("repository:host:5000/a/b:pull,,push");
  ASSERT_TRUE(scope.ok());
  EXPECT_EQ(scope->name, "host:5000/a/b");
  EXPECT_EQ(scope->actions, (std::set<std::string>{"pull", "push"}));
  for (const std::string& text : {std::string("x"), std::string("a:b"), std::string(1000, ':')}) {
    EXPECT_FALSE(ParseScope(text).ok()) << text;
  }
}

}  // namespace
}  // namespace strata::imaged
