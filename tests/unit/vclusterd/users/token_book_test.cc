// Tokens: that they are only hashes, end, are narrower than their users, and cost no write.
#include "vclusterd/users/token_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/unit/vclusterd/users/users_fixture.h"

namespace strata::vcluster {
namespace {

using testing::HasSubstr;
using testing::Not;

NewToken Wanted(uint32_t uid, users::v1::TokenKind kind = users::v1::API) {
  NewToken wanted;
  wanted.uid = uid;
  wanted.kind = kind;
  return wanted;
}

class TokenBookTest : public testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    book_ = std::make_unique<TokenBook>(*store_, clock_.clock());
    ASSERT_TRUE(store_
                    ->Follow([this](const auto& changes) {
                      changes_ += changes.size();
                      book_->Apply(changes);
                    })
                    .ok());
  }
  MadeToken Make(const NewToken& wanted) {
    auto made = book_->Make(wanted);
    EXPECT_TRUE(made.ok()) << made.error().message();
    return std::move(*made);
  }
  bool IsGood(const std::string& text) { return book_->Check(text).ok(); }

  FakeClock clock_;
  std::unique_ptr<records::RecordStore> store_ = records::MakeMemoryRecordStore(UserTables());
  size_t changes_ = 0;
  std::unique_ptr<TokenBook> book_;
};

TEST_F(TokenBookTest, ATokenIsMadeOnlyWhileTheAccountIsAsItWasWhenItWasProved) {
  users::v1::Account account;
  account.set_revision(7);
  ASSERT_TRUE(store_->Put(kUsersTable, NumberKey(1000), account.SerializeAsString()).ok());
  NewToken wanted = Wanted(1000, users::v1::SESSION);
  wanted.account_revision = 7;
  EXPECT_TRUE(IsGood(Make(wanted).text));
  wanted.account_revision = 6;  // Its password was changed since.
  const auto refused = book_->Make(wanted);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
  wanted.uid = 1001;  // Or it is gone.
  EXPECT_FALSE(book_->Make(wanted).ok());
}

TEST_F(TokenBookTest, ATokenIsGoodUntilItEndsAndAfterARestart) {
  NewToken wanted = Wanted(1000);
  wanted.life_ms = kHourMs;
  const MadeToken made = Make(wanted);
  EXPECT_TRUE(made.text.starts_with("strata_api_"));
  Open();
  const auto checked = book_->Check(made.text);
  ASSERT_TRUE(checked.ok());
  EXPECT_EQ((*checked)->record.uid(), 1000u);
  clock_.now_ms += kHourMs - 1;
  EXPECT_TRUE(IsGood(made.text));
  clock_.now_ms += 1;
  EXPECT_EQ(CodeOf(book_->Check(made.text)), Code::kPermissionDenied);
}

TEST_F(TokenBookTest, TheRecordsDoNotHoldWhatSignsIn) {
  const MadeToken made = Make(Wanted(1000));
  std::string all;
  ASSERT_TRUE(store_
                  ->Scan(kUserTokensTable, "",
                         [&](const std::string& key, const std::string& value) -> Status {
                           all += key + value;
                           return Ok();
                         })
                  .ok());
  EXPECT_THAT(all, Not(HasSubstr(made.text.substr(11))));
  EXPECT_FALSE(IsGood(made.token->key));
  EXPECT_FALSE(IsGood(made.token->id));
}

TEST_F(TokenBookTest, OnlyTheWholeTextIsGood) {
  const std::string text = Make(Wanted(1000)).text;
  EXPECT_TRUE(IsGood(text));
  for (const std::string& bad :
       {std::string(), text + "A", text.substr(1), text.substr(0, text.size() - 1), " " + text,
        "strata_session_" + text.substr(11), std::string(100'000, 'a')}) {
    EXPECT_FALSE(IsGood(bad));
  }
}

TEST_F(TokenBookTest, RevokedOnesAreRefusedAtOnce) {
  const MadeToken one = Make(Wanted(1000));
  const MadeToken two = Make(Wanted(1000, users::v1::SESSION));
  const MadeToken others = Make(Wanted(1001));
  ASSERT_EQ(book_->Of(1000).size(), 2u);
  ASSERT_TRUE(book_->Revoke(*book_->Find(one.token->id)).ok());
  EXPECT_FALSE(IsGood(one.text));
  EXPECT_TRUE(IsGood(two.text));
  EXPECT_EQ(book_->Find(one.token->id), nullptr);
  ASSERT_TRUE(book_->RevokeOf(1000, users::v1::API).ok());
  EXPECT_TRUE(IsGood(two.text));
  ASSERT_TRUE(book_->RevokeOf(1000, std::nullopt).ok());
  EXPECT_FALSE(IsGood(two.text));
  EXPECT_TRUE(IsGood(others.text));
  EXPECT_TRUE(book_->Of(1000).empty());
}

TEST_F(TokenBookTest, ANodesTokenIsForItsVclusterAndEndsWithIt) {
  NewToken wanted = Wanted(1000, users::v1::NODE);
  EXPECT_EQ(CodeOf(book_->Make(wanted)), Code::kInvalidArgument) << "everything";
  wanted.scope.operations = OperationSet::Of({Operation::kVclusterScale});
  EXPECT_EQ(CodeOf(book_->Make(wanted)), Code::kInvalidArgument) << "of all Vclusters";
  wanted.scope.vcluster = "17";
  const MadeToken made = Make(wanted);
  Open();
  const TokenPtr token = *book_->Check(made.text);
  EXPECT_EQ(token->scope.vcluster, "17");
  EXPECT_EQ(token->scope.operations, wanted.scope.operations);
  ASSERT_TRUE(book_->RevokeOfVcluster("18").ok());
  ASSERT_TRUE(book_->RevokeOfVcluster("").ok());
  EXPECT_TRUE(IsGood(made.text));
  ASSERT_TRUE(book_->RevokeOfVcluster("17").ok());
  EXPECT_FALSE(IsGood(made.text));
}

TEST_F(TokenBookTest, OperationsThatThisVersionDoesNotKnowGiveNothing) {
  NewToken wanted = Wanted(1000);
  wanted.scope.operations = OperationSet::Of({Operation::kVclusterList});
  const MadeToken made = Make(wanted);
  users::v1::Token record = made.token->record;
  record.clear_operations();
  record.add_operations("vcluster.teleport");
  ASSERT_TRUE(store_->Put(kUserTokensTable, made.token->key, record.SerializeAsString()).ok());
  EXPECT_TRUE((*book_->Check(made.text))->scope.operations.empty());
}

TEST_F(TokenBookTest, LivesAndNumbersAreBounded) {
  NewToken wanted = Wanted(1000, users::v1::SESSION);
  wanted.life_ms = kSessionLifeMsMax + 1;
  EXPECT_EQ(CodeOf(book_->Make(wanted)), Code::kInvalidArgument);
  wanted.life_ms = 0;
  EXPECT_EQ(CodeOf(book_->Make(wanted)), Code::kInvalidArgument);
  wanted.life_ms = kHourMs;
  const MadeToken oldest = Make(wanted);
  for (size_t i = 1; i <= kSessionsMax; ++i) {
    ++clock_.now_ms;
    Make(wanted);
  }
  EXPECT_FALSE(IsGood(oldest.text)) << "a further session ends the oldest";
  EXPECT_EQ(book_->Of(1000).size(), kSessionsMax);
  for (size_t i = 0; i < kApiTokensMax; ++i) Make(Wanted(1000));
  EXPECT_EQ(CodeOf(book_->Make(Wanted(1000))), Code::kResourceExhausted);
  clock_.now_ms += kTokenLifeMsMax;
  Make(Wanted(1000));  // The others have ended.
  ASSERT_TRUE(book_->RemoveEnded().ok());
  EXPECT_EQ(book_->Of(1000).size(), 1u);
}

TEST_F(TokenBookTest, UsesAreWrittenOnceInAnHourAtMost) {
  NewToken wanted = Wanted(1000);
  wanted.life_ms = 10 * kDayMs;
  const MadeToken made = Make(wanted);
  const size_t before = changes_;
  for (int i = 0; i < 1000; ++i) {
    clock_.now_ms += 10 * kSecondMs;  // 2.8 hours.
    ASSERT_TRUE(IsGood(made.text));
    ASSERT_TRUE(book_->WriteUses().ok());
  }
  EXPECT_LE(changes_ - before, 4u);
  EXPECT_GE(changes_ - before, 2u);
  const int64_t used = book_->Find(made.token->id)->used_unix_ms;
  EXPECT_LE(clock_.now_ms - used, kMinuteMs);
  Open();
  EXPECT_GT(book_->Find(made.token->id)->used_unix_ms, clock_.now_ms - 2 * kHourMs);
}

TEST_F(TokenBookTest, ManyCheckWhileOthersAreMade) {
  const MadeToken made = Make(Wanted(1000));
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!stop) EXPECT_TRUE(IsGood(made.text));
    });
  }
  for (int i = 0; i < 50; ++i) {
    const MadeToken other = Make(Wanted(1001));
    EXPECT_TRUE(book_->Revoke(*other.token).ok());
  }
  stop = true;
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace strata::vcluster
