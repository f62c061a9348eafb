// Signing in: who is let in, what others learn, and how guessing is slowed down.
#include "vclusterd/users/sign_in.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vclusterd/users/users_fixture.h"
#include "vclusterd/users/account_rules.h"

namespace strata::vcluster {
namespace {

using testing::HasSubstr;

constexpr char kPassword[] = "correct horse battery";
constexpr char kHome[] = "192.0.2.1";

TEST(SourceGroup, AHostsManyAddressesAreOne) {
  EXPECT_EQ(SourceGroup("2001:db8:1:2:3:4:5:6"), SourceGroup("2001:db8:1:2:ffff::1"));
  EXPECT_NE(SourceGroup("2001:db8:1:2::1"), SourceGroup("2001:db8:1:3::1"));
  EXPECT_EQ(SourceGroup("::ffff:192.0.2.1"), "192.0.2.1");
  EXPECT_NE(SourceGroup("192.0.2.1"), SourceGroup("192.0.2.2"));
}

class SignInGuardTest : public testing::Test {
 protected:
  // Whether an attempt with a wrong password is listened to.
  bool Fail(const std::string& name, const std::string& source, bool is_admin = false) {
    if (!guard_.Begin(name, source, is_admin, now_ms_).ok()) return false;
    guard_.Failed(source, now_ms_);
    return true;
  }
  bool Succeed(const std::string& name, const std::string& source, bool is_admin = false) {
    if (!guard_.Begin(name, source, is_admin, now_ms_).ok()) return false;
    guard_.Succeeded(name, source, now_ms_);
    return true;
  }
  // From another address each time, as often as it is listened to.
  std::string Stranger() {
    ++n_;
    return "10.1." + std::to_string(n_ / 250) + "." + std::to_string(n_ % 250);
  }
  // How long an account is not listened to after the last attempt.
  int64_t LockedMs(const std::string& name, bool is_admin = false) {
    const int64_t start_ms = now_ms_;
    while (!guard_.Begin(name, Stranger(), is_admin, now_ms_).ok()) now_ms_ += 500;
    return now_ms_ - start_ms;
  }

  int64_t now_ms_ = 1'700'000'000'000;
  int n_ = 0;
  SignInGuard guard_;
};

TEST_F(SignInGuardTest, EachFurtherFailureDoublesTheTimeUpToABound) {
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(Fail("alice", Stranger())) << i;
  std::vector<int64_t> locked;
  for (int i = 0; i < 14; ++i) locked.push_back(LockedMs("alice"));
  for (size_t i = 0; i < 9; ++i) EXPECT_EQ(locked[i], kSecondMs << i) << i;
  EXPECT_EQ(locked.back(), 15 * kMinuteMs);
  EXPECT_TRUE(Fail("bob", Stranger())) << "others are not touched";
}

TEST_F(SignInGuardTest, AttemptsMeanwhileDoNotExtendIt) {
  for (int i = 0; i < 6; ++i) Fail("alice", Stranger());
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(Fail("alice", Stranger()));
  EXPECT_EQ(LockedMs("alice"), kSecondMs);
}

TEST_F(SignInGuardTest, AttemptsAtOnceAreNotMoreThanOneAfterAnother) {
  int listened = 0;
  for (int i = 0; i < 100; ++i) {
    listened += guard_.Begin("alice", Stranger(), false, now_ms_).ok() ? 1 : 0;
  }
  EXPECT_EQ(listened, 6);
}

TEST_F(SignInGuardTest, AnAdminIsNeverLockedOutForLong) {
  for (int i = 0; i < 30; ++i) {
    EXPECT_LE(LockedMs("root2", true), kMinuteMs);
  }
}

TEST_F(SignInGuardTest, WhereItsUserSignedInLatelyStrangersDoNotLockHimOut) {
  ASSERT_TRUE(Succeed("alice", kHome));
  for (int i = 0; i < 6; ++i) Fail("alice", Stranger());
  EXPECT_FALSE(Fail("alice", Stranger()));
  EXPECT_TRUE(Succeed("alice", kHome));
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(Fail("alice", kHome)) << "but he may not guess there";
  EXPECT_FALSE(Fail("alice", kHome));
  EXPECT_FALSE(Succeed("alice", kHome));
  now_ms_ += 31 * kDayMs;
  for (int i = 0; i < 6; ++i) Fail("alice", Stranger());
  EXPECT_FALSE(Succeed("alice", kHome)) << "that was long ago";
}

TEST_F(SignInGuardTest, AnAddressThatTriesManyNamesIsSlowedDown) {
  int listened = 0;
  for (int i = 0; i < 1000; ++i) listened += Fail("user" + std::to_string(i), kHome) ? 1 : 0;
  EXPECT_EQ(listened, 51);
  EXPECT_TRUE(Fail("user0", "192.0.2.2"));
  guard_.UnlockSource(kHome);
  EXPECT_TRUE(Fail("user2000", kHome));
}

TEST_F(SignInGuardTest, AnUnlockIsForTheAddressesTooFromWhichHeIsKnown) {
  ASSERT_TRUE(Succeed("alice", kHome));
  ASSERT_TRUE(Succeed("alice2", kHome));
  for (int i = 0; i < 6; ++i) Fail("alice", kHome);
  for (int i = 0; i < 6; ++i) Fail("alice2", kHome);
  guard_.UnlockAccount("alice");
  EXPECT_TRUE(Succeed("alice", kHome));
  EXPECT_FALSE(Succeed("alice2", kHome)) << "another one";
}

TEST_F(SignInGuardTest, WhatStrangersDidStandsWhenItsUserSignsInWhereHeIsKnown) {
  ASSERT_TRUE(Succeed("alice", kHome));
  for (int i = 0; i < 6; ++i) Fail("alice", Stranger());
  ASSERT_TRUE(Succeed("alice", kHome));
  EXPECT_FALSE(Fail("alice", Stranger()));
}

TEST_F(SignInGuardTest, ANeighbourBehindTheSameAddressLocksNobodyOutWhoSignedInThere) {
  ASSERT_TRUE(Succeed("alice", kHome));
  for (int i = 0; i < 1000; ++i) Fail("user" + std::to_string(i), kHome);
  EXPECT_FALSE(Fail("bob", kHome));
  EXPECT_TRUE(Succeed("alice", kHome));
}

TEST_F(SignInGuardTest, ASuccessAnUnlockOrAnHourStartAfresh) {
  for (int i = 0; i < 5; ++i) Fail("alice", Stranger());
  EXPECT_TRUE(Succeed("alice", Stranger()));
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(Fail("alice", Stranger()));
  EXPECT_FALSE(Fail("alice", Stranger()));
  guard_.UnlockAccount("alice");
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(Fail("alice", Stranger()));
  now_ms_ += kHourMs + 1;
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(Fail("alice", Stranger()));
}

TEST_F(SignInGuardTest, AClockThatIsSetBackLocksNobodyOutForLong) {
  for (int i = 0; i < 40; ++i) LockedMs("alice");
  now_ms_ -= 100 * kDayMs;
  EXPECT_EQ(LockedMs("alice"), 0);
}

TEST_F(SignInGuardTest, WhoeverTriesWhateverMemoryIsBounded) {
  for (int i = 0; i < 100'000; ++i) {
    const std::string name = "n" + std::to_string(i);
    Fail(name, name);
    if (i % 2 == 0) Succeed(name + "x", name + "y");
  }
  EXPECT_LE(guard_.entries(), 4 * SignInGuard::kEntriesMax);
}

class SignInTest : public testing::Test {
 protected:
  void SetUp() override {
    hasher_ = std::move(*PasswordHasher::Create(kCheapHash));
    accounts_ = std::make_unique<AccountBook>(*store_, *hasher_, host_.Options(), clock_.clock());
    ASSERT_TRUE(store_->Follow([this](const auto& changes) { accounts_->Apply(changes); }).ok());
    NewAccount alice;
    alice.name = "alice";
    alice.password = kPassword;
    ASSERT_TRUE(accounts_->Create(alice).ok());
    Open();
  }
  void Open() { sign_in_ = std::make_unique<SignIn>(*accounts_, guard_, options_, clock_.clock()); }
  // "alice", or the refusal.
  std::string Try(const std::string& name, const std::string& password) {
    const auto account = sign_in_->WithPassword(name, password, kHome);
    return account.ok() ? (*account)->name() : account.error().message();
  }
  void SetStatus(const std::string& name, users::v1::AccountStatus status) {
    AccountEdit edit;
    edit.status = status;
    edit.note = "ask room 5";
    ASSERT_TRUE(accounts_->Edit(accounts_->FindByName(name)->uid(), edit).ok());
  }
  // A host on which carol and root have this password.
  void AskHost() {
    options_.host_takes = [this](const std::string& name, const std::string& password,
                                 const std::string&) -> Result<bool> {
      ++host_asked_;
      return host_.users.contains(name) && password == "of the host";
    };
    Open();
  }

  FakeClock clock_;
  FakeHostUsers host_;
  std::unique_ptr<records::RecordStore> store_ = records::MakeMemoryRecordStore(UserTables());
  std::unique_ptr<PasswordHasher> hasher_;
  std::unique_ptr<AccountBook> accounts_;
  SignInGuard guard_;
  SignInOptions options_;
  int host_asked_ = 0;
  std::unique_ptr<SignIn> sign_in_;
};

TEST_F(SignInTest, TheRightPasswordLetsInAndRefusalsDoNotTellNamesApart) {
  EXPECT_EQ(Try("alice", kPassword), "alice");
  EXPECT_EQ(Try("alice", "wrong"), "wrong name or password");
  EXPECT_EQ(Try("nobody", "wrong"), "wrong name or password");
  EXPECT_EQ(Try("no name", kPassword), "wrong name or password");
  EXPECT_EQ(Try("alice", std::string(1 << 20, 'a')), "wrong name or password");
  EXPECT_EQ(Try("alice", kPassword + std::string(1, '\0')), "wrong name or password");
}

TEST_F(SignInTest, LockedAndWaitingAccountsAreToldOnlyToWhoKnowsThePassword) {
  SetStatus("alice", users::v1::LOCKED);
  EXPECT_EQ(Try("alice", "wrong"), "wrong name or password");
  EXPECT_EQ(Try("alice", kPassword), "this account is locked: ask room 5");
  SetStatus("alice", users::v1::WAITING);
  EXPECT_THAT(Try("alice", kPassword), HasSubstr("approval"));
  for (int i = 0; i < 20; ++i) Try("alice", kPassword);
  SetStatus("alice", users::v1::ACTIVE);
  EXPECT_EQ(Try("alice", kPassword), "alice") << "the right password was no failure";
}

TEST_F(SignInTest, GuessesAreRefusedForAWhileThenTheRightPasswordIsTaken) {
  for (int i = 0; i < 6; ++i) EXPECT_EQ(Try("alice", "wrong"), "wrong name or password");
  EXPECT_THAT(Try("alice", kPassword), HasSubstr("try again in 1 s"));
  for (int i = 0; i < 6; ++i) EXPECT_EQ(Try("nobody", "wrong"), "wrong name or password");
  EXPECT_THAT(Try("nobody", kPassword), HasSubstr("try again in 1 s")) << "as for alice";
  clock_.now_ms += kSecondMs;
  EXPECT_EQ(Try("alice", kPassword), "alice");
}

TEST_F(SignInTest, TheHostsPasswordIsForAccountsThatSayThatTheyUseIt) {
  AskHost();
  NewAccount carol;
  carol.name = "carol";
  carol.pam = true;
  ASSERT_TRUE(accounts_->AddHostUser(carol).ok());
  EXPECT_EQ(Try("carol", "of the host"), "carol");
  EXPECT_EQ(Try("carol", "wrong"), "wrong name or password");
  host_.users["alice"] = 5;
  EXPECT_EQ(Try("alice", "of the host"), "wrong name or password") << "another alice's";
  AccountEdit edit;
  edit.pam = false;
  ASSERT_TRUE(accounts_->Edit(1000, edit).ok());
  EXPECT_EQ(Try("carol", "of the host"), "wrong name or password");
}

TEST_F(SignInTest, TheHostIsAskedAboutEveryNameWhosePasswordWasNotRightHere) {
  AskHost();
  Try("alice", "wrong");
  Try("nobody", "wrong");
  EXPECT_EQ(host_asked_, 2) << "or the time would tell who has an account";
  Try("alice", kPassword);
  EXPECT_EQ(host_asked_, 2);
}

TEST_F(SignInTest, AUserOfTheHostMayGetAnAccountByHisFirstSignIn) {
  AskHost();
  EXPECT_EQ(Try("carol", "of the host"), "wrong name or password");
  options_.new_host_user = SignInOptions::Newcomer::kWaits;
  Open();
  EXPECT_THAT(Try("carol", "of the host"), HasSubstr("approval"));
  EXPECT_EQ(accounts_->Find(1000)->status(), users::v1::WAITING);
  options_.new_host_user = SignInOptions::Newcomer::kActive;
  Open();
  EXPECT_THAT(Try("carol", "of the host"), HasSubstr("approval")) << "she waits already";
  EXPECT_EQ(Try("daemon", "of the host"), "daemon");
  EXPECT_EQ(Try("root", "of the host"), "wrong name or password");
  ASSERT_TRUE(accounts_->Delete(1).ok());
  EXPECT_EQ(Try("daemon", "of the host"), "wrong name or password") << "he was deleted";
}

TEST_F(SignInTest, AHostThatDoesNotAnswerIsNoFailureOfTheUser) {
  options_.host_takes = [](const auto&, const auto&, const auto&) -> Result<bool> {
    return Error(Code::kUnavailable, "PAM does not answer");
  };
  Open();
  NewAccount carol;
  carol.name = "carol";
  carol.pam = true;
  ASSERT_TRUE(accounts_->AddHostUser(carol).ok());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Try("carol", "of the host"), "PAM does not answer");
  for (int i = 0; i < 6; ++i) EXPECT_EQ(Try("alice", "wrong"), "PAM does not answer");
  EXPECT_THAT(Try("alice", "wrong"), HasSubstr("try again in")) << "that was a guess";
}

TEST(UserName, IsMadeOfWhatAnIssuerCallsHim) {
  EXPECT_EQ(UserNameOf("Alice.Smith@example.org"), "alice-smith");
  EXPECT_EQ(UserNameOf("007bond"), "bond");
  EXPECT_EQ(UserNameOf(""), "user");
  EXPECT_EQ(UserNameOf("\u00fcnal"), "nal");
  EXPECT_EQ(UserNameOf("../../etc/passwd"), "etc-passwd");
  EXPECT_TRUE(CheckUserName(UserNameOf(std::string(1000, 'x')) + "200").ok());
}

TEST_F(SignInTest, WhomAnIssuerKnowsIsTheAccountOfThatSubjectAndNoOther) {
  const IdClaims claims{"https://id.example.org", "s-1", "alice", "Alice", "alice@example.org"};
  EXPECT_EQ(CodeOf(sign_in_->WithClaims(claims)), Code::kPermissionDenied)
      << "the same name is not the same person";
  AccountEdit edit;
  edit.link.emplace();
  edit.link->set_issuer(claims.issuer);
  edit.link->set_subject(claims.subject);
  const uint32_t alice = accounts_->FindByName("alice")->uid();
  ASSERT_TRUE(accounts_->Edit(alice, edit).ok());
  EXPECT_EQ((*sign_in_->WithClaims(claims))->uid(), alice);
  IdClaims other = claims;
  other.issuer = "https://evil.example.org";
  EXPECT_FALSE(sign_in_->WithClaims(other).ok());
  SetStatus("alice", users::v1::LOCKED);
  EXPECT_THAT(sign_in_->WithClaims(claims).error().message(), HasSubstr("locked"));
}

TEST_F(SignInTest, ANewcomerGetsANameThatIsFree) {
  options_.new_open_id_user = SignInOptions::Newcomer::kActive;
  Open();
  IdClaims claims{"https://id.example.org", "s-1", "Alice", "Alice\nroot", "alice@example.org"};
  EXPECT_EQ((*sign_in_->WithClaims(claims))->name(), "alice2");
  EXPECT_EQ(accounts_->FindByName("alice2")->real_name(), "") << "no line of a list";
  EXPECT_EQ((*sign_in_->WithClaims(claims))->name(), "alice2") << "the second time";
  claims.subject = "s-2";
  claims.user_name = "root";
  EXPECT_EQ((*sign_in_->WithClaims(claims))->name(), "root2")
      << "the host's name is not given away";
  options_.new_open_id_user = SignInOptions::Newcomer::kWaits;
  Open();
  claims.subject = "s-3";
  EXPECT_THAT(sign_in_->WithClaims(claims).error().message(), HasSubstr("approval"));
  EXPECT_EQ(accounts_->FindByName("root3")->status(), users::v1::WAITING);
}

}  // namespace
}  // namespace strata::vcluster
