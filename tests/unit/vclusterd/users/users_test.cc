// Everything together: rights by role, relation and token, what is recorded of it, and a restart.
#include "vclusterd/users/users.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/file_io.h"
#include "tests/unit/vclusterd/users/users_fixture.h"

namespace strata::vcluster {
namespace {

using enum Operation;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using users::v1::AuditEvent;

constexpr char kPassword[] = "correct horse battery";
constexpr char kAddress[] = "192.0.2.7";

class UsersTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_.emplace(std::move(*TemporaryDirectory::Create("/var/tmp", "strata-users.")));
    Open();
    alice_ = Make("alice", users::v1::USER);
    bob_ = Make("bob", users::v1::USER);
    tina_ = Make("tina", users::v1::TEACHER);
    ada_ = Make("ada", users::v1::ADMIN);
  }
  // As after a restart.
  void Open() {
    users_.reset();
    UserOptions options;
    options.accounts = host_.Options();
    options.hash_cost = kCheapHash;
    options.now = clock_.clock();
    auto users = Users::Open(*store_, directory_->path() + "/audit", options);
    ASSERT_TRUE(users.ok()) << users.error().message();
    users_ = std::move(*users);
    ASSERT_TRUE(store_->Follow([this](const auto& changes) { users_->Apply(changes); }).ok());
  }

  Caller Root() { return {0, "socket", "", nullptr}; }
  Caller As(uint32_t uid) { return {uid, "rest", kAddress, nullptr}; }
  Caller With(const MadeToken& made) { return *users_->CallerOf(made.text, "rest", kAddress); }
  uint32_t Make(const std::string& name, users::v1::Role role) {
    NewAccount wanted;
    wanted.name = name;
    wanted.role = role;
    wanted.password = kPassword;
    const auto made = users_->CreateAccount(Root(), wanted, false);
    EXPECT_TRUE(made.ok()) << made.error().message();
    return made.ok() ? (*made)->uid() : 0;
  }
  // tina teaches alice.
  uint32_t MakeClass() {
    const auto os = users_->CreateGroup(As(tina_), "os", "");
    EXPECT_TRUE(os.ok());
    EXPECT_TRUE(users_->EditGroup(As(tina_), (*os)->number(), {.invite = {alice_}}).ok());
    EXPECT_TRUE(users_->JoinGroup(As(alice_), (*os)->number()).ok());
    return (*os)->number();
  }
  Target Vcluster(uint32_t owner, const std::string& number = "17") {
    return {owner, "somebody/hpc", number};
  }
  std::string SignIn(const std::string& name, const std::string& password = kPassword) {
    const auto token = users_->SignInWithPassword(name, password, kAddress);
    return token.ok() ? token->text : token.error().message();
  }
  // What the log says: "who operation object outcome".
  std::vector<std::string> Log(const Caller& caller, AuditQuery query = {}) {
    std::vector<std::string> lines;
    const auto events = users_->Events(caller, query);
    EXPECT_TRUE(events.ok());
    for (const AuditEvent& event : events->events) {
      lines.push_back(event.user() + " " + event.operation() + " " + event.object() + " " +
                      event.outcome());
    }
    return lines;
  }

  FakeClock clock_;
  FakeHostUsers host_;
  std::optional<TemporaryDirectory> directory_;
  std::unique_ptr<records::RecordStore> store_ = records::MakeMemoryRecordStore(UserTables());
  std::unique_ptr<Users> users_;
  uint32_t alice_ = 0, bob_ = 0, tina_ = 0, ada_ = 0;
};

TEST_F(UsersTest, RightsFollowRoleAndRelation) {
  const auto allows = [&](uint32_t uid, Operation operation, uint32_t owner) {
    return users_->Allows(As(uid), operation, Vcluster(owner));
  };
  EXPECT_TRUE(allows(alice_, kVclusterExec, alice_));
  EXPECT_FALSE(allows(alice_, kVclusterExec, bob_));
  EXPECT_FALSE(allows(tina_, kVclusterExec, alice_)) << "not yet";
  MakeClass();
  EXPECT_TRUE(allows(tina_, kVclusterExec, alice_));
  EXPECT_FALSE(allows(tina_, kVclusterDelete, alice_));
  EXPECT_FALSE(allows(tina_, kVclusterExec, bob_));
  EXPECT_TRUE(allows(ada_, kVclusterExec, bob_));
  EXPECT_TRUE(users_->Allows(Root(), kHostDrain, {}));
  EXPECT_FALSE(users_->Allows(As(tina_), kHostDrain, {}));
  EXPECT_TRUE(allows(4711, kVclusterExec, 4711)) << "a user of the host without an account";
}

TEST_F(UsersTest, WhoIsMoreThanAUserIsNobodysPupil) {
  MakeClass();
  AccountEdit edit;
  edit.role = users::v1::TEACHER;
  ASSERT_TRUE(users_->EditAccount(As(ada_), alice_, edit).ok());
  EXPECT_FALSE(users_->Allows(As(tina_), kVclusterExec, Vcluster(alice_)));
}

TEST_F(UsersTest, ATeacherWhoIsOneNoMoreTeachesNobody) {
  MakeClass();
  AccountEdit edit;
  edit.role = users::v1::USER;
  ASSERT_TRUE(users_->EditAccount(As(ada_), tina_, edit).ok());
  EXPECT_FALSE(users_->Allows(As(tina_), kVclusterExec, Vcluster(alice_)));
}

TEST_F(UsersTest, ASessionIsGoodUntilTheAccountIsLockedOrItsPasswordChanged) {
  const std::string token = SignIn("alice");
  ASSERT_TRUE(users_->CallerOf(token, "rest", kAddress).ok());
  ASSERT_TRUE(users_->SetPassword(As(alice_), alice_, kPassword, "another password").ok());
  EXPECT_FALSE(users_->CallerOf(token, "rest", kAddress).ok());
  const std::string next = SignIn("alice", "another password");
  AccountEdit edit;
  edit.status = users::v1::LOCKED;
  ASSERT_TRUE(users_->EditAccount(As(ada_), alice_, edit).ok());
  EXPECT_FALSE(users_->CallerOf(next, "rest", kAddress).ok());
  EXPECT_FALSE(users_->Allows(As(alice_), kVclusterList, Vcluster(alice_)));
  edit.status = users::v1::ACTIVE;
  ASSERT_TRUE(users_->EditAccount(As(ada_), alice_, edit).ok());
  EXPECT_FALSE(users_->CallerOf(next, "rest", kAddress).ok()) << "the old session does not go on";
  Open();
  EXPECT_THAT(SignIn("alice", "another password"), HasSubstr("strata_session_"));
}

TEST_F(UsersTest, OnesOwnPasswordNeedsTheOldOne) {
  EXPECT_EQ(CodeOf(users_->SetPassword(As(alice_), alice_, "wrong", "another password")),
            Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(users_->SetPassword(As(bob_), alice_, kPassword, "another password")),
            Code::kPermissionDenied);
  EXPECT_TRUE(users_->SetPassword(As(ada_), alice_, "", "another password").ok());
  EXPECT_EQ(CodeOf(users_->SetPassword(As(ada_), ada_, "", "another password")),
            Code::kPermissionDenied)
      << "an admin's session is stolen as easily";
}

TEST_F(UsersTest, WhatAStolenNodeTokenCanDo) {
  const auto made = users_->MakeNodeToken(alice_, "17", OperationSet::Of({kVclusterScale}), kDayMs);
  ASSERT_TRUE(made.ok());
  const Caller node = With(*made);
  EXPECT_TRUE(users_->Allows(node, kVclusterScale, Vcluster(alice_, "17")));
  EXPECT_FALSE(users_->Allows(node, kVclusterScale, Vcluster(alice_, "18")));
  EXPECT_FALSE(users_->Allows(node, kVclusterScale, {alice_, "x", ""}));
  for (const Operation operation : OperationSet::All().List()) {
    if (operation == kVclusterScale) continue;
    EXPECT_FALSE(users_->Allows(node, operation, Vcluster(alice_, "17"))) << NameOf(operation);
  }
  EXPECT_EQ(CodeOf(users_->CreateToken(node, {})), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(users_->SetPassword(node, alice_, kPassword, "another password")),
            Code::kPermissionDenied);
  EXPECT_THAT(users_->Authorize(node, kVclusterExec, Vcluster(alice_, "17")).error().message(),
              HasSubstr("token is not for vcluster.exec"));
  ASSERT_TRUE(users_->RevokeTokensOfVcluster("17").ok());
  EXPECT_FALSE(users_->CallerOf(made->text, "rest", kAddress).ok());
}

TEST_F(UsersTest, ATokenMakesNoneThatCanDoMoreOrLivesLonger) {
  NewToken wanted;
  wanted.kind = users::v1::API;
  wanted.uid = ada_;  // Not his to say.
  wanted.life_ms = 10 * kDayMs;
  wanted.scope.operations = OperationSet::Of({kTokenCreate, kVclusterList});
  const auto api = users_->CreateToken(As(alice_), wanted);
  ASSERT_TRUE(api.ok());
  EXPECT_EQ(api->token->record.uid(), alice_);
  const Caller caller = With(*api);
  clock_.now_ms += kMinuteMs;
  EXPECT_EQ(CodeOf(users_->CreateToken(caller, wanted)), Code::kPermissionDenied)
      << "it would end later";
  wanted.life_ms = 5 * kDayMs;
  EXPECT_TRUE(users_->CreateToken(caller, wanted).ok());
  wanted.scope.operations.Add(kVclusterExec);
  EXPECT_EQ(CodeOf(users_->CreateToken(caller, wanted)), Code::kPermissionDenied);
  wanted.kind = users::v1::SESSION;
  EXPECT_EQ(CodeOf(users_->CreateToken(As(alice_), wanted)), Code::kInvalidArgument);
}

TEST_F(UsersTest, TokensAreRevokedByTheirUserAndAdminsAndNobodyElseKnowsOfThem) {
  NewToken wanted;
  wanted.kind = users::v1::API;
  const auto one = users_->CreateToken(As(alice_), wanted);
  const auto two = users_->CreateToken(As(alice_), wanted);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(CodeOf(users_->RevokeToken(As(bob_), one->token->id)), Code::kNotFound);
  EXPECT_EQ(CodeOf(users_->RevokeToken(As(bob_), "no-such")), Code::kNotFound);
  EXPECT_TRUE(users_->RevokeToken(As(alice_), one->token->id).ok());
  EXPECT_TRUE(users_->RevokeToken(As(ada_), two->token->id).ok());
  EXPECT_THAT(users_->tokens().Of(alice_), IsEmpty());
}

TEST_F(UsersTest, EveryKindOfFieldNeedsItsOwnRight) {
  AccountEdit own;
  own.mail = "alice@example.org";
  EXPECT_TRUE(users_->EditAccount(As(alice_), alice_, own).ok());
  EXPECT_EQ(CodeOf(users_->EditAccount(As(bob_), alice_, own)), Code::kPermissionDenied);
  own.role = users::v1::ADMIN;
  EXPECT_EQ(CodeOf(users_->EditAccount(As(alice_), alice_, own)), Code::kPermissionDenied);
  AccountEdit link;
  link.link.emplace();
  link.link->set_issuer("https://id.example.org");
  link.link->set_subject("bob-there");
  EXPECT_EQ(CodeOf(users_->EditAccount(As(alice_), alice_, link)), Code::kPermissionDenied)
      << "bob would sign in as alice";
  EXPECT_TRUE(users_->LinkOpenId(As(alice_), {"https://id.example.org", "alice-there"}).ok());
  EXPECT_THAT(users_->SignInWithClaims({"https://id.example.org", "alice-there"}, kAddress)->text,
              HasSubstr("strata_session_"));
  AccountEdit lock;
  lock.status = users::v1::LOCKED;
  EXPECT_EQ(CodeOf(users_->EditAccount(As(tina_), alice_, lock)), Code::kPermissionDenied);
  AccountEdit nothing;
  EXPECT_EQ(CodeOf(users_->EditAccount(As(bob_), alice_, nothing)), Code::kPermissionDenied);
}

TEST_F(UsersTest, AStrangersAccountWaitsForApproval) {
  NewAccount wanted;
  wanted.name = "eve";
  wanted.password = kPassword;
  wanted.role = users::v1::ADMIN;
  const auto eve = users_->Register(wanted, kAddress);
  ASSERT_TRUE(eve.ok());
  EXPECT_EQ((*eve)->role(), users::v1::USER);
  EXPECT_THAT(SignIn("eve"), HasSubstr("approval"));
  AccountEdit approve;
  approve.status = users::v1::ACTIVE;
  EXPECT_EQ(CodeOf(users_->EditAccount(As(tina_), (*eve)->uid(), approve)),
            Code::kPermissionDenied);
  ASSERT_TRUE(users_->EditAccount(As(ada_), (*eve)->uid(), approve).ok());
  EXPECT_THAT(SignIn("eve"), HasSubstr("strata_session_"));
  EXPECT_THAT(Log(Root()), Contains("ada user.approve eve ok"));
  EXPECT_THAT(Log(Root()), Contains("tina user.approve eve permission denied"));
}

TEST_F(UsersTest, AnAddressAsksForSoManyAccountsOnly) {
  NewAccount wanted;
  int made = 0;
  for (int i = 0; i < 100; ++i) {
    wanted.name = "eve" + std::to_string(i);
    made += users_->Register(wanted, kAddress).ok() ? 1 : 0;
  }
  EXPECT_EQ(made, 51);
  wanted.name = "frank";
  EXPECT_TRUE(users_->Register(wanted, "192.0.2.8").ok());
  EXPECT_THAT(SignIn("alice"), HasSubstr("strata_session_")) << "who has one signs in";
}

TEST_F(UsersTest, ADeletedAccountLeavesNothingThatWorks) {
  MakeClass();
  const std::string token = SignIn("alice");
  ASSERT_TRUE(users_->ApplyForCredits(As(alice_), 1000, "x").ok());
  ASSERT_TRUE(users_->SetLimits(As(ada_), {LimitHolder::Kind::kUser, alice_}, {}, {}).ok());
  EXPECT_EQ(CodeOf(users_->DeleteAccount(As(ada_), alice_, 99)), Code::kFailedPrecondition);
  EXPECT_TRUE(users_->CallerOf(token, "rest", kAddress).ok());
  ASSERT_TRUE(users_->DeleteAccount(As(ada_), alice_, std::nullopt).ok());
  EXPECT_FALSE(users_->CallerOf(token, "rest", kAddress).ok());
  EXPECT_THAT(users_->tokens().Of(alice_), IsEmpty());
  EXPECT_THAT(users_->groups().Of(alice_), IsEmpty());
  EXPECT_EQ(users_->quotas().Get({LimitHolder::Kind::kUser, alice_}).revision, 0u);
  EXPECT_FALSE(users_->Allows(As(alice_), kVclusterList, Vcluster(alice_)));
  EXPECT_EQ(SignIn("alice"), "wrong name or password");
  EXPECT_EQ(CodeOf(users_->DeleteAccount(As(ada_), 4711, std::nullopt)), Code::kNotFound);
}

TEST_F(UsersTest, GroupsAreTheirOwnersToChange) {
  EXPECT_EQ(CodeOf(users_->CreateGroup(As(alice_), "mine", "")), Code::kPermissionDenied);
  const uint32_t os = MakeClass();
  const uint32_t other = Make("other", users::v1::TEACHER);
  EXPECT_EQ(CodeOf(users_->EditGroup(As(other), os, {.invite = {bob_}})), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(users_->EditGroup(As(tina_), os, {.enrol = {bob_}})), Code::kPermissionDenied)
      << "membership is his to give";
  EXPECT_TRUE(users_->EditGroup(As(ada_), os, {.enrol = {bob_}}).ok());
  EXPECT_TRUE(users_->LeaveGroup(As(alice_), os).ok());
  EXPECT_EQ(CodeOf(users_->JoinGroup(As(alice_), os)), Code::kNotFound);
  const uint64_t revision = users_->groups().Find(os)->revision();
  EXPECT_EQ(CodeOf(users_->LeaveGroup(As(alice_), os)), Code::kNotFound) << "he is not in it";
  EXPECT_EQ(users_->groups().Find(os)->revision(), revision);
  EXPECT_THAT(Log(As(alice_)),
              Contains("alice group.join group " + std::to_string(os) + " not found"))
      << "its name is nothing to him now";
  EXPECT_EQ(CodeOf(users_->DeleteGroup(As(other), os, std::nullopt)), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(users_->DeleteGroup(As(other), 99, std::nullopt)), Code::kPermissionDenied);
  EXPECT_TRUE(users_->DeleteGroup(As(tina_), os, std::nullopt).ok());
}

TEST_F(UsersTest, LimitsAndCreditsAreAdminsToGiveAndBudgetsTeachersToSpend) {
  MakeClass();
  LimitSet limits;
  limits[Resource::kNodes] = 2;
  const LimitHolder his{LimitHolder::Kind::kUser, alice_};
  EXPECT_EQ(CodeOf(users_->SetLimits(As(tina_), his, limits, {})), Code::kPermissionDenied);
  ASSERT_TRUE(users_->SetLimits(As(ada_), his, limits, {}).ok());
  QuotaAmounts asked;
  asked[Resource::kNodes] = 3;
  EXPECT_THAT(users_->CheckQuota(alice_, asked, {}).error().message(), HasSubstr("alice"));
  EXPECT_EQ(CodeOf(users_->GrantCredits(As(tina_), alice_, 1, "")), Code::kPermissionDenied);
  const auto application = users_->ApplyForCredits(As(alice_), 500, "a course");
  ASSERT_TRUE(application.ok());
  const auto decide = [&](uint32_t by) {
    return users_->DecideApplication(As(by), alice_, application->number(), true, "");
  };
  EXPECT_EQ(CodeOf(decide(alice_)), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(decide(bob_)), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(decide(tina_)), Code::kResourceExhausted);
  ASSERT_TRUE(users_->SetCreditBudget(As(ada_), tina_, 800).ok());
  ASSERT_TRUE(decide(tina_).ok());
  EXPECT_EQ(users_->credits().Balance(alice_), 500);
  EXPECT_EQ(users_->credits().Budget(tina_), 300);
}

TEST_F(UsersTest, WhatWasDoneAndRefusedIsRecordedForWhoMaySeeIt) {
  SignIn("alice", "wrong");
  SignIn("my-password-in-the-wrong-field");
  EXPECT_FALSE(users_->Authorize(As(bob_), kVclusterExec, Vcluster(alice_)).ok());
  users_->Record(As(ada_), kVclusterStop, Vcluster(alice_), "for the night", Ok());
  EXPECT_THAT(Log(As(alice_)), ElementsAre("ada vcluster.stop somebody/hpc ok"));
  EXPECT_THAT(Log(As(bob_)), ElementsAre("bob vcluster.exec somebody/hpc permission denied"));
  const auto all = Log(Root());
  EXPECT_THAT(all, Contains("root user.create alice ok"));
  EXPECT_THAT(all, Contains(" user.sign-in alice permission denied"));
  EXPECT_THAT(all, Contains(" user.sign-in (unknown) permission denied"));
  EXPECT_EQ(Log(As(ada_)), all);
  EXPECT_THAT(Log(As(alice_), {.uid = bob_}), IsEmpty());
  Open();
  EXPECT_EQ(Log(Root()), all);
}

TEST_F(UsersTest, GuessingLocksTheSignInAndAnAdminUnlocksIt) {
  for (int i = 0; i < 6; ++i) EXPECT_EQ(SignIn("alice", "wrong"), "wrong name or password");
  EXPECT_THAT(SignIn("alice"), HasSubstr("try again"));
  EXPECT_EQ(CodeOf(users_->UnlockSignIn(As(bob_), alice_)), Code::kPermissionDenied);
  ASSERT_TRUE(users_->UnlockSignIn(As(ada_), alice_).ok());
  EXPECT_THAT(SignIn("alice"), HasSubstr("strata_session_"));
}

TEST_F(UsersTest, HousekeepingRemovesWhatHasEnded) {
  SignIn("alice");
  EXPECT_EQ(users_->tokens().Of(alice_).size(), 1u);
  clock_.now_ms += kDayMs;
  ASSERT_TRUE(users_->KeepHouse().ok());
  EXPECT_THAT(users_->tokens().Of(alice_), IsEmpty());
}

TEST_F(UsersTest, OnDiskEverythingIsThereAfterARestart) {
  const auto open = [&] {
    users_.reset();
    if (store_ != nullptr) store_->Unfollow();
    store_.reset();
    const std::string records = directory_->path() + "/records";
    ASSERT_TRUE(MakeDirectories(records).ok());
    records::RocksOptions rocks;
    rocks.tables = UserTables();
    auto store = records::OpenRocksRecordStore(records, rocks);
    ASSERT_TRUE(store.ok()) << store.error().message();
    store_ = std::move(*store);
    Open();
  };
  open();
  alice_ = Make("alice", users::v1::USER);
  tina_ = Make("tina", users::v1::TEACHER);
  MakeClass();
  const std::string token = SignIn("alice");
  ASSERT_TRUE(users_->GrantCredits(Root(), alice_, 700, "").ok());
  LimitSet limits;
  limits[Resource::kNodes] = 2;
  ASSERT_TRUE(users_->SetLimits(Root(), {LimitHolder::Kind::kUser, alice_}, limits, {}).ok());
  open();
  EXPECT_TRUE(users_->CallerOf(token, "rest", kAddress).ok());
  EXPECT_TRUE(users_->Allows(As(tina_), kVclusterExec, Vcluster(alice_)));
  EXPECT_EQ(users_->credits().Balance(alice_), 700);
  EXPECT_EQ(users_->quotas().Get({LimitHolder::Kind::kUser, alice_}).limits, limits);
  EXPECT_THAT(SignIn("alice"), HasSubstr("strata_session_"));
  EXPECT_EQ(Make("bob", users::v1::USER), tina_ + 1);
  users_.reset();
  store_->Unfollow();
}

}  // namespace
}  // namespace strata::vcluster
