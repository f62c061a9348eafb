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
    return authenticator_->GiveToken(request);
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
  EXPECT_EQ(authenticator_->GiveToken(request).status, 401);
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
