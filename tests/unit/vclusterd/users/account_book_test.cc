// Accounts: numbers that are never used twice, names, changes at once, and passwords.
#include "vclusterd/users/account_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/vclusterd/users/users_fixture.h"
#include "vclusterd/users/account_rules.h"

namespace strata::vcluster {
namespace {

using users::v1::OpenIdSubject;

constexpr char kPassword[] = "correct horse battery";

NewAccount Named(const std::string& name) {
  NewAccount account;
  account.name = name;
  return account;
}

OpenIdSubject Subject(const std::string& subject) {
  OpenIdSubject made;
  made.set_issuer("https://id.example.org");
  made.set_subject(subject);
  return made;
}

class AccountBookTest : public testing::Test {
 protected:
  void SetUp() override { Open(kCheapHash); }
  // As after a restart.
  void Open(HashCost cost) {
    book_.reset();
    hasher_ = std::move(*PasswordHasher::Create(cost));
    AccountOptions options = host_.Options();
    options.uid_first = 200'000;
    options.uid_last = uid_last_;
    book_ = std::make_unique<AccountBook>(*store_, *hasher_, options, clock_.clock());
    ASSERT_TRUE(store_->Follow([this](const auto& changes) { book_->Apply(changes); }).ok());
  }
  uint32_t Make(const std::string& name) {
    const auto made = book_->Create(Named(name));
    EXPECT_TRUE(made.ok()) << made.error().message();
    return made.ok() ? (*made)->uid() : 0;
  }

  FakeClock clock_;
  FakeHostUsers host_;
  uint32_t uid_last_ = 299'999;
  std::unique_ptr<records::RecordStore> store_ = records::MakeMemoryRecordStore(UserTables());
  std::unique_ptr<PasswordHasher> hasher_;
  std::unique_ptr<AccountBook> book_;
};

TEST_F(AccountBookTest, NumbersComeFromTheRangeAndAreNeverUsedAgain) {
  EXPECT_EQ(Make("alice"), 200'000u);
  EXPECT_EQ(Make("bob"), 200'001u);
  ASSERT_TRUE(book_->Delete(200'001).ok());
  Open(kCheapHash);
  EXPECT_EQ(Make("bob"), 200'002u) << "another bob";
  EXPECT_EQ(book_->Find(200'001), nullptr);
  EXPECT_EQ(book_->RoleOf(200'001), std::nullopt);
  EXPECT_EQ(book_->FindByName("bob")->uid(), 200'002u);
}

TEST_F(AccountBookTest, NumbersThatTheHostGaveAwayAreSteppedOverAndTheRangeEnds) {
  uid_last_ = 200'002;
  host_.users["dave"] = 200'001;
  Open(kCheapHash);
  EXPECT_EQ(Make("alice"), 200'000u);
  EXPECT_EQ(Make("bob"), 200'002u);
  EXPECT_EQ(CodeOf(book_->Create(Named("carl"))), Code::kResourceExhausted);
}

TEST_F(AccountBookTest, NamesAreUniqueHereAndOnTheHost) {
  Make("alice");
  EXPECT_EQ(CodeOf(book_->Create(Named("alice"))), Code::kAlreadyExists);
  EXPECT_EQ(CodeOf(book_->Create(Named("carol"))), Code::kAlreadyExists);
  for (const char* bad : {"", "Alice", "1a", "-a", "a b", "a/b", "a\n", "ünal",
                          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}) {
    EXPECT_EQ(CodeOf(book_->Create(Named(bad))), Code::kInvalidArgument) << bad;
  }
}

TEST_F(AccountBookTest, UsersOfTheHostKeepTheirNumbersAndMayComeBack) {
  EXPECT_EQ(CodeOf(book_->AddHostUser(Named("nobody-here"))), Code::kNotFound);
  const auto carol = book_->AddHostUser(Named("carol"));
  ASSERT_TRUE(carol.ok());
  EXPECT_EQ((*carol)->uid(), 1000u);
  EXPECT_TRUE((*carol)->of_host());
  ASSERT_TRUE(book_->Delete(1000).ok());
  EXPECT_EQ(book_->RoleOf(1000), std::nullopt);
  ASSERT_TRUE(book_->AddHostUser(Named("carol")).ok());
  EXPECT_EQ(book_->RoleOf(1000), users::v1::USER);
}

TEST_F(AccountBookTest, ANumberOfStrataIsNoUserOfTheHostLater) {
  const uint32_t uid = Make("alice");
  ASSERT_TRUE(book_->Delete(uid).ok());
  host_.users["eve"] = uid;
  EXPECT_EQ(CodeOf(book_->AddHostUser(Named("eve"))), Code::kAlreadyExists);
}

TEST_F(AccountBookTest, RootIsAnAdminWhateverIsDone) {
  EXPECT_EQ(book_->RoleOf(0), users::v1::ADMIN);
  EXPECT_EQ(CodeOf(book_->AddHostUser(Named("root"))), Code::kInvalidArgument);
  NewAccount root = Named("root");
  root.role = users::v1::ADMIN;
  ASSERT_TRUE(book_->AddHostUser(root).ok());
  AccountEdit edit;
  edit.role = users::v1::USER;
  EXPECT_EQ(CodeOf(book_->Edit(0, edit)), Code::kPermissionDenied);
  edit = {};
  edit.status = users::v1::LOCKED;
  EXPECT_EQ(CodeOf(book_->Edit(0, edit)), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(book_->Delete(0)), Code::kPermissionDenied);
}

TEST_F(AccountBookTest, OnlyActiveAccountsMayDoAnything) {
  NewAccount waiting = Named("alice");
  waiting.status = users::v1::WAITING;
  const auto alice = book_->Create(waiting);
  ASSERT_TRUE(alice.ok());
  const uint32_t uid = (*alice)->uid();
  EXPECT_EQ(book_->RoleOf(uid), std::nullopt);
  AccountEdit edit;
  edit.status = users::v1::ACTIVE;
  edit.role = users::v1::TEACHER;
  ASSERT_TRUE(book_->Edit(uid, edit).ok());
  EXPECT_EQ(book_->RoleOf(uid), users::v1::TEACHER);
  edit.status = users::v1::LOCKED;
  ASSERT_TRUE(book_->Edit(uid, edit).ok());
  EXPECT_EQ(book_->RoleOf(uid), std::nullopt);
  EXPECT_EQ(book_->RoleOf(4711), users::v1::USER) << "a user of the host without an account";
}

TEST_F(AccountBookTest, ADamagedAccountMayDoNothing) {
  const uint32_t uid = Make("alice");
  ASSERT_TRUE(store_->Put(kUsersTable, NumberKey(uid), "\xff\xff").ok());
  EXPECT_EQ(book_->RoleOf(uid), std::nullopt);
  EXPECT_EQ(CodeOf(book_->Edit(uid, {})), Code::kCorrupt);
}

TEST_F(AccountBookTest, OfTwoAdminsAtOnceOneWinsAndTheOtherHearsIt) {
  const uint32_t uid = Make("alice");
  const uint64_t seen = book_->Find(uid)->revision();
  AccountEdit first;
  first.revision = seen;
  first.mail = "alice@example.org";
  AccountEdit second;
  second.revision = seen;
  second.status = users::v1::LOCKED;
  ASSERT_TRUE(book_->Edit(uid, first).ok());
  EXPECT_EQ(CodeOf(book_->Edit(uid, second)), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(book_->Delete(uid, seen)), Code::kFailedPrecondition);
  EXPECT_EQ(book_->RoleOf(uid), users::v1::USER);
  second.revision = book_->Find(uid)->revision();
  EXPECT_TRUE(book_->Edit(uid, second).ok());
}

TEST_F(AccountBookTest, ManyAtOnceGetNumbersOfTheirOwnAndOneGetsTheName) {
  std::vector<std::thread> threads;
  std::atomic<int> same = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      Make("user" + std::to_string(i));
      same += book_->Create(Named("same")).ok() ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(same, 1);
  std::set<uint32_t> numbers;
  for (const auto& account : book_->All()) numbers.insert(account->uid());
  EXPECT_EQ(numbers.size(), 9u);
}

TEST_F(AccountBookTest, APasswordIsVerifiedAndItsHashIsNotInTheAccount) {
  NewAccount wanted = Named("alice");
  wanted.password = kPassword;
  const auto alice = book_->Create(wanted);
  ASSERT_TRUE(alice.ok());
  EXPECT_EQ((*alice)->DebugString().find("argon2"), std::string::npos);
  EXPECT_TRUE(*book_->VerifyPassword("alice", kPassword));
  EXPECT_FALSE(*book_->VerifyPassword("alice", "correct horse batterY"));
  EXPECT_FALSE(*book_->VerifyPassword("nobody", kPassword));
  EXPECT_FALSE(*book_->VerifyPassword("alice", std::string(kPasswordBytesMax + 1, 'a')));
  ASSERT_TRUE(book_->SetPassword((*alice)->uid(), "another password").ok());
  EXPECT_GT(book_->Find((*alice)->uid())->revision(), (*alice)->revision())
      << "a sign-in that rests on the old one would go on";
  EXPECT_FALSE(*book_->VerifyPassword("alice", kPassword));
  EXPECT_TRUE(*book_->VerifyPassword("alice", "another password"));
  ASSERT_TRUE(book_->Delete((*alice)->uid()).ok());
  EXPECT_FALSE(*book_->VerifyPassword("alice", "another password"));
}

TEST_F(AccountBookTest, AnAccountWithoutAPasswordGetsOneLater) {
  const uint32_t uid = Make("alice");
  EXPECT_FALSE(*book_->VerifyPassword("alice", ""));
  EXPECT_FALSE(book_->Find(uid)->has_password());
  ASSERT_TRUE(book_->SetPassword(uid, kPassword).ok());
  EXPECT_TRUE(book_->Find(uid)->has_password());
  EXPECT_TRUE(*book_->VerifyPassword("alice", kPassword));
}

TEST_F(AccountBookTest, AHashOfAnotherCostIsMadeAnewAtTheNextSignIn) {
  NewAccount wanted = Named("alice");
  wanted.password = kPassword;
  const auto alice = book_->Create(wanted);
  ASSERT_TRUE(alice.ok());
  const auto hash_of = [&] {
    users::v1::Secret secret;
    secret.ParseFromString(**store_->Get(kUserSecretsTable, NumberKey((*alice)->uid())));
    return secret.password_hash();
  };
  EXPECT_NE(hash_of().find("m=64,t=1,p=1"), std::string::npos);
  Open({.memory_kib = 128, .passes = 2, .lanes = 1});
  EXPECT_FALSE(*book_->VerifyPassword("alice", "a wrong password"));
  EXPECT_NE(hash_of().find("m=64,t=1,p=1"), std::string::npos) << "not by who does not know it";
  EXPECT_TRUE(*book_->VerifyPassword("alice", kPassword));
  EXPECT_NE(hash_of().find("m=128,t=2,p=1"), std::string::npos);
  EXPECT_TRUE(*book_->VerifyPassword("alice", kPassword));
}

TEST_F(AccountBookTest, ASubjectOfAnIssuerIsOneAccounts) {
  const uint32_t alice = Make("alice");
  const uint32_t bob = Make("bob");
  AccountEdit edit;
  edit.link = Subject("a-1");
  ASSERT_TRUE(book_->Edit(alice, edit).ok());
  EXPECT_EQ(book_->FindByOpenId(Subject("a-1"))->uid(), alice);
  EXPECT_EQ(CodeOf(book_->Edit(bob, edit)), Code::kAlreadyExists);
  edit = {};
  edit.unlink = Subject("a-1");
  EXPECT_EQ(CodeOf(book_->Edit(bob, edit)), Code::kNotFound);
  ASSERT_TRUE(book_->Edit(alice, edit).ok());
  EXPECT_EQ(book_->FindByOpenId(Subject("a-1")), nullptr);
  edit = {};
  edit.link = Subject("a-1");
  ASSERT_TRUE(book_->Edit(bob, edit).ok());
  ASSERT_TRUE(book_->Delete(bob).ok());
  EXPECT_EQ(book_->FindByOpenId(Subject("a-1")), nullptr);
  ASSERT_TRUE(book_->Edit(alice, edit).ok()) << "the deleted account's subject is free";
}

TEST_F(AccountBookTest, OnlySoManyWaitForApproval) {
  NewAccount waiting;
  waiting.status = users::v1::WAITING;
  for (size_t i = 0; i < kWaitingAccountsMax; ++i) {
    waiting.name = "w" + std::to_string(i);
    ASSERT_TRUE(book_->Create(waiting).ok());
  }
  waiting.name = "one-more";
  EXPECT_EQ(CodeOf(book_->Create(waiting)), Code::kResourceExhausted);
  AccountEdit edit;
  edit.status = users::v1::ACTIVE;
  ASSERT_TRUE(book_->Edit(200'000, edit).ok());
  EXPECT_TRUE(book_->Create(waiting).ok());
}

TEST_F(AccountBookTest, FieldsAreLinesThatCannotForgeOthers) {
  NewAccount account = Named("alice");
  account.real_name = "Alice\nroot";
  EXPECT_EQ(CodeOf(book_->Create(account)), Code::kInvalidArgument);
  account.real_name = "Alice Ünal";
  account.mail = "a@b@c";
  EXPECT_EQ(CodeOf(book_->Create(account)), Code::kInvalidArgument);
  account.mail = "alice@example.org";
  account.password = "short";
  EXPECT_EQ(CodeOf(book_->Create(account)), Code::kInvalidArgument);
  account.password = "aaaaaaaaaaaa";
  EXPECT_EQ(CodeOf(book_->Create(account)), Code::kInvalidArgument);
  account.password = kPassword;
  account.pam = true;
  EXPECT_EQ(CodeOf(book_->Create(account)), Code::kInvalidArgument);
  account.pam = false;
  EXPECT_TRUE(book_->Create(account).ok());
}

}  // namespace
}  // namespace strata::vcluster
