// Tokens: their text, that each is good once and for its time, and what guessing brings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "common/file_io.h"
#include "common/pki/random.h"
#include "imaged/peers/join_token.h"
#include "imaged/peers/token_store.h"

namespace strata::imaged {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

const pki::Time kNow = std::chrono::system_clock::from_time_t(1'800'000'000);
constexpr seconds kHour{3600};

JoinToken Sample() {
  return {"lab-1", "10.0.0.1:7443", pki::Sha256("ca"), std::string("\0\xff 0123456789ABC", 16)};
}

TEST(JoinTokenText, SurvivesItsText) {
  const JoinToken token = Sample();
  const std::string text = EncodeToken(token);
  EXPECT_LE(text.size(), 130u);
  EXPECT_EQ(text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789-_"),
            std::string::npos);
  const auto parsed = ParseToken(text);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  EXPECT_EQ(parsed->host_name, token.host_name);
  EXPECT_EQ(parsed->address, token.address);
  EXPECT_EQ(parsed->authority_sha256, token.authority_sha256);
  EXPECT_EQ(parsed->secret, token.secret);
}

TEST(JoinTokenText, EveryOtherCharacterAndEveryCutIsNoticed) {
  const std::string text = EncodeToken(Sample());
  for (size_t i = 0; i < text.size(); ++i) {
    std::string other = text;
    other[i] = other[i] == 'A' ? 'B' : 'A';
    EXPECT_EQ(ParseToken(other).error().code(), Code::kInvalidArgument) << i;
    EXPECT_FALSE(ParseToken(text.substr(0, i)).ok()) << i;
  }
  EXPECT_FALSE(ParseToken(text + "A").ok());
  EXPECT_FALSE(ParseToken(text + "\n").ok());
  EXPECT_FALSE(ParseToken("strata1-" + std::string(5000, 'A')).ok());
}

TEST(JoinTokenText, ATokenLeadsToAHostAndAnAddressOnly) {
  JoinToken token = Sample();
  token.host_name = "Lab 1";
  EXPECT_FALSE(ParseToken(EncodeToken(token)).ok());
  token = Sample();
  token.address = "example.org:7443";
  EXPECT_FALSE(ParseToken(EncodeToken(token)).ok());
}

class TokenStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    auto created = TemporaryDirectory::Create("/var/tmp", "strata-tokens.");
    ASSERT_TRUE(created.ok());
    directory_.emplace(std::move(*created));
    Reopen();
  }
  void Reopen() {
    auto store = TokenStore::Open(Path());
    ASSERT_TRUE(store.ok()) << store.error().message();
    store_ = std::move(*store);
  }
  std::string Path() const { return directory_->path() + "/tokens"; }
  Status Take(const std::string& secret, pki::Time now = kNow, const std::string& caller = "x") {
    return store_->Take(secret, caller, now);
  }
  static void ExpectRefused(const Status& status) {
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code(), Code::kPermissionDenied);
    EXPECT_THAT(status.error().message(), HasSubstr("the token is refused"));
  }

  std::optional<TemporaryDirectory> directory_;
  std::unique_ptr<TokenStore> store_;
};

TEST_F(TokenStoreTest, ATokenIsGoodOnceAlsoAcrossARestart) {
  const std::string secret = *store_->Make(kHour, kNow);
  Reopen();
  EXPECT_TRUE(store_->Check(secret, "x", kNow).ok());
  EXPECT_TRUE(Take(secret).ok());
  ExpectRefused(Take(secret));
  Reopen();
  ExpectRefused(Take(secret));
}

TEST_F(TokenStoreTest, WrongUsedAndExpiredAreToldAlike) {
  const std::string used = *store_->Make(kHour, kNow);
  const std::string old = *store_->Make(seconds(60), kNow);
  ASSERT_TRUE(Take(used).ok());
  EXPECT_TRUE(store_->Check(old, "x", kNow + seconds(59)).ok());
  const std::string message = Take("wrong").error().message();
  EXPECT_EQ(Take(used).error().message(), message);
  EXPECT_EQ(Take(old, kNow + seconds(60)).error().message(), message);
  ExpectRefused(Take(""));
}

TEST_F(TokenStoreTest, TheFileHoldsNoSecretAndIsForItsOwnerAlone) {
  const std::string secret = *store_->Make(kHour, kNow);
  EXPECT_EQ(secret.size(), kTokenSecretBytes);
  const std::string text = *ReadFile(Path());
  EXPECT_EQ(text.find(secret), std::string::npos);
  EXPECT_EQ(text.find(pki::HexOf(secret)), std::string::npos);
  struct stat st = {};
  ASSERT_EQ(::stat(Path().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
}

TEST_F(TokenStoreTest, OfManyAtOnceOneGetsTheToken) {
  const std::string secret = *store_->Make(kHour, kNow);
  std::atomic<int> got{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&, i] { got += Take(secret, kNow, std::to_string(i)).ok(); });
    }
  }
  EXPECT_EQ(got, 1);
}

TEST_F(TokenStoreTest, WhoGuessesIsSlowedDownAndOthersAreNot) {
  const std::string secret = *store_->Make(kHour, kNow);
  for (int i = 0; i < 10; ++i) ExpectRefused(Take("wrong" + std::to_string(i)));
  EXPECT_EQ(Take(secret).error().code(), Code::kResourceExhausted) << "even with the right one";
  EXPECT_TRUE(store_->Check(secret, "y", kNow).ok());
  EXPECT_TRUE(Take(secret, kNow + seconds(61)).ok());
}

TEST_F(TokenStoreTest, AnyNumberOfStrangersTakesBoundedRoom) {
  for (int i = 0; i < 1024; ++i) ExpectRefused(Take("w", kNow, std::to_string(i)));
  for (int i = 0; i < 10; ++i) ExpectRefused(Take("w", kNow, "new" + std::to_string(i)));
  EXPECT_EQ(Take("w", kNow, "one more").error().code(), Code::kResourceExhausted);
  ExpectRefused(Take("w", kNow, "5"));
}

TEST_F(TokenStoreTest, TimesToLiveAndTheNumberOfTokensHaveLimits) {
  for (const seconds ttl : {seconds(0), seconds(-5), kTokenTtlMax + seconds(1)}) {
    EXPECT_EQ(store_->Make(ttl, kNow).error().code(), Code::kInvalidArgument);
  }
  for (size_t i = 0; i < kTokensMax; ++i) ASSERT_TRUE(store_->Make(kHour, kNow).ok());
  EXPECT_EQ(store_->Make(kHour, kNow).error().code(), Code::kResourceExhausted);
  EXPECT_TRUE(store_->Make(kHour, kNow + kHour).ok()) << "expired ones make room";
  Reopen();
}

TEST_F(TokenStoreTest, AFileThatIsNoneOfOursIsCorrupt) {
  const std::string hash(64, 'a');
  for (const std::string& text :
       {std::string(""), std::string("x"), "strata-tokens 1\n" + hash + "\n",
        "strata-tokens 1\n" + hash + " 12x\n", "strata-tokens 1\n" + std::string(64, 'Z') + " 1\n",
        "strata-tokens 2\n" + hash + " 1\n"}) {
    ASSERT_TRUE(WriteFileAtomically(Path(), text).ok());
    EXPECT_EQ(TokenStore::Open(Path()).error().code(), Code::kCorrupt) << text;
  }
}

}  // namespace
}  // namespace strata::imaged
