// The registry's passwords: whose they are, how long they are good, and what the file gives away.
#include "imaged/registry/token_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <optional>

#include "common/file_io.h"
#include "imaged/peers/unix_time.h"
#include "tests/unit/catalog/fake_accounts.h"

namespace strata::imaged {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

constexpr uid_t kAlice = 50'001;
constexpr uid_t kBob = 50'002;
const pki::Time kNow = std::chrono::system_clock::from_time_t(1'800'000'000);

class TokenBookTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_.emplace(*TemporaryDirectory::Create("/var/tmp", "strata-book."));
    accounts_.AddUser("alice", kAlice);
    accounts_.AddUser("bob", kBob);
    Reopen();
  }
  void Reopen() {
    auto book = TokenBook::Open(Path(), accounts_);
    ASSERT_TRUE(book.ok()) << book.error().message();
    book_ = std::move(*book);
  }
  std::string Path() const { return directory_->path() + "/tokens.json"; }
  v1::CreateTokenResponse Create(uid_t uid, const std::string& name = "", bool read_only = false,
                                 int64_t expires_unix_ms = 0) {
    v1::CreateTokenRequest request;
    request.set_name(name);
    request.set_read_only(read_only);
    request.set_expires_unix_ms(expires_unix_ms);
    auto created = book_->Create(uid, request, kNow);
    EXPECT_TRUE(created.ok()) << created.error().message();
    return created.ok() ? *created : v1::CreateTokenResponse();
  }
  Result<v1::RegistryToken> LogIn(const std::string& user, const std::string& secret,
                                  pki::Time now = kNow, const std::string& client = "1.2.3.4") {
    return book_->LogIn(user, secret, client, now);
  }

  std::optional<TemporaryDirectory> directory_;
  FakeAccounts accounts_;
  std::unique_ptr<TokenBook> book_;
};

TEST_F(TokenBookTest, ATokenLetsItsUserInAndNobodyElse) {
  const auto created = Create(kAlice, "laptop", true);
  Reopen();
  const auto token = LogIn("alice", created.secret());
  ASSERT_TRUE(token.ok()) << token.error().message();
  EXPECT_EQ(token->uid(), kAlice);
  EXPECT_TRUE(token->read_only());
  EXPECT_TRUE(LogIn(std::to_string(kAlice), created.secret()).ok());
  EXPECT_FALSE(LogIn("bob", created.secret()).ok());
  EXPECT_FALSE(LogIn("", created.secret()).ok());
}

TEST_F(TokenBookTest, WrongExpiredAndRevokedAreToldAlike) {
  const auto created = Create(kAlice);
  const std::string message = LogIn("alice", "strata-0-0").error().message();
  std::string other = created.secret();
  other.back() = other.back() == '0' ? '1' : '0';
  EXPECT_EQ(LogIn("alice", other).error().message(), message);
  EXPECT_EQ(LogIn("nobody", created.secret()).error().message(), message);
  EXPECT_EQ(LogIn("alice", created.secret(), kNow + hours(24 * 366)).error().message(), message);
  EXPECT_TRUE(book_->IsGood(created.token().id(), kNow));
  ASSERT_TRUE(book_->Revoke(kAlice, created.token().id()).ok());
  EXPECT_FALSE(book_->IsGood(created.token().id(), kNow));
  EXPECT_EQ(LogIn("alice", created.secret()).error().message(), message);
  Reopen();
  EXPECT_FALSE(LogIn("alice", created.secret()).ok()) << "revoked for good";
}

TEST_F(TokenBookTest, ANumberThatWasGivenToAnotherLetsNobodyIn) {
  const auto created = Create(kAlice);
  FakeAccounts later;
  later.AddUser("carol", kAlice);
  auto book = TokenBook::Open(Path(), later);
  ASSERT_TRUE(book.ok());
  for (const char* user : {"alice", "carol", "50001"}) {
    EXPECT_FALSE((*book)->LogIn(user, created.secret(), "x", kNow).ok()) << user;
  }
  EXPECT_FALSE((*book)->IsGood(created.token().id(), kNow));
}

TEST_F(TokenBookTest, TheFileHoldsNoSecretAndIsForItsOwnerAlone) {
  const auto created = Create(kAlice);
  const std::string text = *ReadFile(Path());
  EXPECT_THAT(text, HasSubstr(created.token().id()));
  EXPECT_THAT(text, Not(HasSubstr(created.secret())));
  EXPECT_THAT(text, Not(HasSubstr(created.secret().substr(created.secret().rfind('-') + 1))));
  struct stat st = {};
  ASSERT_EQ(::stat(Path().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
}

TEST_F(TokenBookTest, EverybodySeesAndRevokesHisOwn) {
  const auto alices = Create(kAlice, "a");
  const auto bobs = Create(kBob, "b");
  EXPECT_EQ(book_->List(kAlice, false)->tokens_size(), 1);
  EXPECT_EQ(book_->List(kAlice, true).error().code(), Code::kPermissionDenied);
  EXPECT_EQ(book_->List(0, true)->tokens_size(), 2);
  EXPECT_EQ(book_->Revoke(kAlice, bobs.token().id()).error().code(), Code::kNotFound);
  EXPECT_EQ(book_->Revoke(kAlice, "none").error().code(), Code::kNotFound);
  EXPECT_TRUE(book_->Revoke(0, bobs.token().id()).ok());
  EXPECT_EQ(book_->List(0, true)->tokens_size(), 1);
}

TEST_F(TokenBookTest, WhoGuessesIsSlowedDownAndOthersAreNot) {
  const auto created = Create(kAlice);
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(LogIn("alice", "strata-x").ok());
  EXPECT_EQ(LogIn("alice", created.secret()).error().code(), Code::kResourceExhausted);
  EXPECT_TRUE(LogIn("alice", created.secret(), kNow, "5.6.7.8").ok());
  EXPECT_TRUE(LogIn("alice", created.secret(), kNow + seconds(61)).ok());
}

TEST_F(TokenBookTest, NamesTimesAndNumbersHaveLimits) {
  v1::CreateTokenRequest request;
  request.set_name("two\nlines");
  EXPECT_EQ(book_->Create(kAlice, request, kNow).error().code(), Code::kInvalidArgument);
  request.set_name("");
  for (const int64_t end : {UnixMs(kNow), UnixMs(kNow) - 1, UnixMs(kNow + hours(24 * 4000))}) {
    request.set_expires_unix_ms(end);
    EXPECT_EQ(book_->Create(kAlice, request, kNow).error().code(), Code::kInvalidArgument);
  }
  for (int i = 0; i < kRegistryTokensPerUserMax; ++i) {
    Create(kAlice, "", false, UnixMs(kNow + seconds(5)));
  }
  request.set_expires_unix_ms(0);
  EXPECT_EQ(book_->Create(kAlice, request, kNow).error().code(), Code::kResourceExhausted);
  EXPECT_TRUE(book_->Create(kBob, request, kNow).ok());
  EXPECT_TRUE(book_->Create(kAlice, request, kNow + seconds(6)).ok()) << "expired ones make room";
}

TEST_F(TokenBookTest, AFileThatIsNoneOfOursIsCorrupt) {
  for (const char* text : {"", "x", "{}", R"({"format": 2})", R"({"format": 1, "what": 1})"}) {
    ASSERT_TRUE(WriteFileAtomically(Path(), text).ok());
    EXPECT_EQ(TokenBook::Open(Path(), accounts_).error().code(), Code::kCorrupt) << text;
  }
}

}  // namespace
}  // namespace strata::imaged
