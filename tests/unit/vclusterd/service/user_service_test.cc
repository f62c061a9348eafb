// UserService: every call, tried by everybody; and what is shown to whom.
#include "vclusterd/service/user_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <set>

#include "common/records/record_store.h"
#include "tests/unit/vclusterd/test_users.h"
#include "vclusterd/api/accounts.grpc.pb.h"
#include "vclusterd/users/tables.h"

namespace strata::vcluster {
namespace {

using namespace accounts::v1;
using testing::HasSubstr;
using Stub = UserService::Stub;
using enum grpc::StatusCode;

constexpr char kPassword[] = "correct horse battery";

// A caller's own UserService.
class Served {
 public:
  Served(const UserCallsContext& context, uint32_t uid)
      : service_(MakeUserService(context, rpc::Caller{uid})) {
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = UserService::NewStub(server_->InProcessChannel({}));
  }
  ~Served() { server_->Shutdown(); }

  // The call's status; the response is in `*response` when it is given.
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response = nullptr) {
    grpc::ClientContext context;
    Response unused;
    return (stub_.get()->*method)(&context, request, response == nullptr ? &unused : response);
  }

 private:
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Stub> stub_;
};

enum Who : size_t { kStranger, kUser, kTeacher, kAdmin, kLocked, kEverybody };
constexpr const char* kWhoNames[] = {"stranger", "user", "teacher", "admin", "locked"};

// tina, a teacher, teaches paul; bob, theo and what is theirs are nobody's business.
class UserServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    store_ = records::MakeMemoryRecordStore(UserTables());
    users_ = std::make_unique<TestUsers>(*store_);
    tina_ = users_->Add("tina", users::v1::TEACHER);
    paul_ = users_->Add("paul");
    bob_ = users_->Add("bob");
    const Caller theo = users_->Add("theo", users::v1::TEACHER);
    users_->Add("doomed");
    const Caller lou = users_->Add("lou");
    AccountEdit lock;
    lock.status = users::v1::LOCKED;
    EXPECT_TRUE((*users_)->EditAccount(kRoot, lou.uid, lock).ok());
    const auto os = (*users_)->CreateGroup(tina_, "os", "");
    EXPECT_TRUE(os.ok());
    EXPECT_TRUE((*users_)->EditGroup(kRoot, (*os)->number(), {.enrol = {paul_.uid}}).ok());
    EXPECT_TRUE((*users_)->CreateGroup(theo, "doomed-group", "").ok());
    for (int i = 0; i < 2; ++i) EXPECT_TRUE((*users_)->ApplyForCredits(paul_, 5, "thesis").ok());
    NewToken wanted;
    wanted.kind = users::v1::API;
    token_ = (*users_)->CreateToken(paul_, wanted).value().token->id;

    context_.users = &**users_;
    context_.used = [this] { return used_; };
    const uint32_t uids[] = {64009, users_->Add("alice").uid, tina_.uid,
                             users_->Add("ada", users::v1::ADMIN).uid, lou.uid};
    for (const uint32_t uid : uids) as_.push_back(std::make_unique<Served>(context_, uid));
  }

  std::unique_ptr<records::RecordStore> store_;
  std::unique_ptr<TestUsers> users_;
  UserCallsContext context_;
  std::optional<std::map<uint32_t, QuotaAmounts>> used_;
  std::string token_;  // The id of one of paul's.
  Caller tina_, paul_, bob_;
  std::vector<std::unique_ptr<Served>> as_;  // By Who.
};

template <typename Request>
Request Of(void (*fill)(Request*)) {
  Request request;
  fill(&request);
  return request;
}

UserRequest UserNamed(const std::string& name) {
  UserRequest request;
  request.set_user(name);
  return request;
}
GroupRequest GroupNamed(const std::string& name) {
  GroupRequest request;
  request.set_group(name);
  return request;
}

TEST_F(UserServiceTest, EveryCallByEverybody) {
  struct Row {
    const char* call;  // The rpc, and what it is tried on.
    std::function<grpc::Status(Served&, Who)> run;
    grpc::StatusCode
        expected[kEverybody];  // Of a stranger, a user, a teacher, an admin, a locked one.
  };
  constexpr auto kOk = OK, kNone = NOT_FOUND, kNot = PERMISSION_DENIED;
  const auto list_users = [](const char* user) {
    return [user](Served& as, Who) {
      ListUsersRequest request;
      request.set_user(user);
      return as.Call(&Stub::ListUsers, request);
    };
  };
  const auto edit_user = [](void (*fill)(EditUserRequest*)) {
    return [fill](Served& as, Who) { return as.Call(&Stub::EditUser, Of(fill)); };
  };
  const auto edit_group = [](void (*fill)(EditGroupRequest*)) {
    return [fill](Served& as, Who) {
      EditGroupRequest request = Of(fill);
      request.set_group("os");
      return as.Call(&Stub::EditGroup, request);
    };
  };
  const auto set_password = [](const char* user) {
    return [user](Served& as, Who) {
      SetPasswordRequest request;
      request.set_user(user);
      request.set_new_password(kPassword);
      return as.Call(&Stub::SetPassword, request);
    };
  };
  const auto show_limits = [](void (*fill)(LimitsRequest*)) {
    return [fill](Served& as, Who) { return as.Call(&Stub::ShowLimits, Of(fill)); };
  };
  const auto set_limits = [](void (*fill)(SetLimitsRequest*)) {
    return [fill](Served& as, Who) { return as.Call(&Stub::SetLimits, Of(fill)); };
  };
  const auto list_tokens = [](const char* user) {
    return [user](Served& as, Who) {
      ListTokensRequest request;
      request.set_user(user);
      return as.Call(&Stub::ListTokens, request);
    };
  };
  const auto show_credits = [](const char* user) {
    return [user](Served& as, Who) {
      CreditsRequest request;
      request.set_user(user);
      request.set_history(true);
      return as.Call(&Stub::ShowCredits, request);
    };
  };
  const auto list_events = [](const char* user) {
    return [user](Served& as, Who) {
      ListEventsRequest request;
      request.set_user(user);
      return as.Call(&Stub::ListEvents, request);
    };
  };
  const std::vector<Row> rows = {
      {"ListUsers", list_users(""), {kOk, kOk, kOk, kOk, kNot}},
      {"ListUsers bob", list_users("bob"), {kNone, kNone, kNone, kOk, kNone}},
      {"ListUsers paul", list_users("paul"), {kNone, kNone, kOk, kOk, kNone}},
      {"ListUsers nobody", list_users("nemo"), {kNone, kNone, kNone, kNone, kNone}},
      {"AddUser",
       [](Served& as, Who who) {
         AddUserRequest request;
         request.set_name(std::string("new-") + kWhoNames[who]);
         return as.Call(&Stub::AddUser, request);
       },
       {kNot, kNot, kNot, kOk, kNot}},
      {"EditUser own mail",
       edit_user([](EditUserRequest* r) { r->set_mail("a@example.org"); }),
       {kNone, kOk, kOk, kOk, kNot}},
      {"EditUser own role",
       edit_user([](EditUserRequest* r) { r->set_role(users::v1::ADMIN); }),
       {kNot, kNot, kNot, kOk, kNot}},
      {"EditUser own status",
       edit_user([](EditUserRequest* r) { r->set_status(users::v1::ACTIVE); }),
       {kNot, kNot, kNot, kOk, kNot}},
      {"EditUser to what only deletion may make",
       edit_user([](EditUserRequest* r) { r->set_status(users::v1::DELETED); }),
       {INVALID_ARGUMENT, INVALID_ARGUMENT, INVALID_ARGUMENT, INVALID_ARGUMENT, INVALID_ARGUMENT}},
      {"EditUser paul",
       edit_user([](EditUserRequest* r) {
         r->set_user("paul");
         r->set_mail("paul@example.org");
       }),
       {kNone, kNone, kNot, kOk, kNone}},
      {"EditUser bob link",
       edit_user([](EditUserRequest* r) {
         r->set_user("bob");
         r->mutable_link()->set_issuer("https://id.example.org");
         r->mutable_link()->set_subject("4711");
       }),
       {kNone, kNone, kNone, kOk, kNone}},
      {"SetPassword own without the old one",
       set_password(""),
       {INVALID_ARGUMENT, INVALID_ARGUMENT, INVALID_ARGUMENT, INVALID_ARGUMENT, kNot}},
      {"SetPassword paul", set_password("paul"), {kNone, kNone, kNot, kOk, kNone}},
      {"UnlockSignIn paul",
       [](Served& as, Who) { return as.Call(&Stub::UnlockSignIn, UserNamed("paul")); },
       {kNone, kNone, kNot, kOk, kNone}},
      {"DeleteUser doomed",
       [](Served& as, Who) { return as.Call(&Stub::DeleteUser, UserNamed("doomed")); },
       {kNone, kNone, kNone, kOk, kNone}},
      {"ListGroups",
       [](Served& as, Who) { return as.Call(&Stub::ListGroups, ListGroupsRequest()); },
       {kOk, kOk, kOk, kOk, kNot}},
      {"ListGroups os",
       [](Served& as, Who) {
         return as.Call(&Stub::ListGroups,
                        Of<ListGroupsRequest>([](auto* r) { r->set_group("os"); }));
       },
       {kNone, kNone, kOk, kOk, kNot}},
      {"AddGroup",
       [](Served& as, Who who) {
         AddGroupRequest request;
         request.set_name(std::string("of-") + kWhoNames[who]);
         return as.Call(&Stub::AddGroup, request);
       },
       {kNot, kNot, kOk, kOk, kNot}},
      {"EditGroup os description",
       edit_group([](EditGroupRequest* r) { r->set_description("spring"); }),
       {kNone, kNone, kOk, kOk, kNone}},
      {"EditGroup os invite",
       edit_group([](EditGroupRequest* r) { r->add_invite("bob"); }),
       {kNone, kNone, kOk, kOk, kNone}},
      {"EditGroup os enrol",
       edit_group([](EditGroupRequest* r) { r->add_enrol("theo"); }),
       {kNone, kNone, kNot, kOk, kNone}},
      {"JoinGroup os, uninvited",
       [](Served& as, Who) { return as.Call(&Stub::JoinGroup, GroupNamed("os")); },
       {kNone, kNone, kNone, kNone, kNone}},
      {"LeaveGroup os, not in it",
       [](Served& as, Who) { return as.Call(&Stub::LeaveGroup, GroupNamed("os")); },
       {kNone, kNone, kNone, kNone, kNone}},
      {"DeleteGroup doomed-group",
       [](Served& as, Who) { return as.Call(&Stub::DeleteGroup, GroupNamed("doomed-group")); },
       {kNone, kNone, kNone, kOk, kNone}},
      {"ShowLimits own", show_limits([](LimitsRequest*) {}), {kOk, kOk, kOk, kOk, kNot}},
      {"ShowLimits paul",
       show_limits([](LimitsRequest* r) { r->set_user("paul"); }),
       {kNone, kNone, kOk, kOk, kNone}},
      {"ShowLimits os",
       show_limits([](LimitsRequest* r) { r->set_group("os"); }),
       {kNone, kNone, kOk, kOk, kNone}},
      {"ShowLimits default",
       show_limits([](LimitsRequest* r) { r->set_is_default(true); }),
       {kNot, kNot, kNot, kOk, kNot}},
      {"SetLimits paul",
       set_limits([](SetLimitsRequest* r) {
         r->mutable_whose()->set_user("paul");
         r->mutable_set()->set_nodes(4);
       }),
       {kNone, kNone, kNot, kOk, kNone}},
      {"SetLimits default",
       set_limits([](SetLimitsRequest* r) { r->mutable_whose()->set_is_default(true); }),
       {kNot, kNot, kNot, kOk, kNot}},
      {"ListTokens own", list_tokens(""), {kOk, kOk, kOk, kOk, kNot}},
      {"ListTokens paul", list_tokens("paul"), {kNone, kNone, kNot, kOk, kNone}},
      {"CreateToken",
       [](Served& as, Who) {
         return as.Call(&Stub::CreateToken,
                        Of<CreateTokenRequest>([](auto* r) { r->set_life_ms(kHourMs); }));
       },
       {FAILED_PRECONDITION, kOk, kOk, kOk, kNot}},
      {"RevokeToken of paul",
       [this](Served& as, Who) {
         RevokeTokenRequest request;
         request.set_id(token_);
         return as.Call(&Stub::RevokeToken, request);
       },
       {kNone, kNone, kNone, kOk, kNone}},
      {"ShowCredits own", show_credits(""), {kOk, kOk, kOk, kOk, kNot}},
      {"ShowCredits paul", show_credits("paul"), {kNone, kNone, kOk, kOk, kNone}},
      {"ListApplications",
       [](Served& as, Who) { return as.Call(&Stub::ListApplications, ListApplicationsRequest()); },
       {kOk, kOk, kOk, kOk, kNot}},
      {"ApplyForCredits",
       [](Served& as, Who) {
         return as.Call(&Stub::ApplyForCredits, Of<ApplyForCreditsRequest>([](auto* r) {
           r->set_amount_milli(1000);
           r->set_reason("thesis");
         }));
       },
       {kOk, kOk, kOk, kOk, kNot}},
      {"DecideApplication of paul",
       [](Served& as, Who who) {
         DecideApplicationRequest request;
         request.set_user("paul");
         request.set_number(who == kAdmin ? 2 : 1);
         return as.Call(&Stub::DecideApplication, request);
       },
       {kNone, kNone, kOk, kOk, kNone}},
      {"GrantCredits paul",
       [](Served& as, Who) {
         return as.Call(&Stub::GrantCredits, Of<GrantCreditsRequest>([](auto* r) {
           r->set_user("paul");
           r->set_amount_milli(1000);
         }));
       },
       {kNone, kNone, kNot, kOk, kNone}},
      {"SetCreditBudget tina",
       [](Served& as, Who) {
         return as.Call(&Stub::SetCreditBudget,
                        Of<SetCreditBudgetRequest>([](auto* r) { r->set_user("tina"); }));
       },
       {kNone, kNone, kNot, kOk, kNone}},
      {"ListEvents", list_events(""), {kOk, kOk, kOk, kOk, kNot}},
      {"ListEvents of bob", list_events("bob"), {kNone, kNone, kNone, kOk, kNone}},
  };
  std::set<std::string> tried;
  for (const Row& row : rows) {
    const std::string call = row.call;
    tried.insert(call.substr(0, call.find(' ')));
    for (size_t who = 0; who < kEverybody; ++who) {
      const grpc::Status status = row.run(*as_[who], static_cast<Who>(who));
      EXPECT_EQ(status.error_code(), row.expected[who])
          << row.call << " by " << kWhoNames[who] << ": " << status.error_message();
    }
  }
  const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
      UserService::service_full_name());
  ASSERT_NE(service, nullptr);
  for (int i = 0; i < service->method_count(); ++i) {
    EXPECT_TRUE(tried.contains(service->method(i)->name())) << service->method(i)->name();
  }
}

TEST_F(UserServiceTest, ATeacherSeesWhoHisPupilsAreAndNoMore) {
  AccountEdit edit;
  edit.mail = "paul@example.org";
  edit.note = "on probation";
  ASSERT_TRUE((*users_)->EditAccount(kRoot, paul_.uid, edit).ok());
  UserList list;
  ASSERT_TRUE(as_[kTeacher]->Call(&Stub::ListUsers, ListUsersRequest(), &list).ok());
  ASSERT_EQ(list.users_size(), 2);  // tina and paul.
  const users::v1::Account& paul = list.users(list.users(0).name() == "paul" ? 0 : 1);
  EXPECT_EQ(paul.name(), "paul");
  EXPECT_EQ(paul.mail(), "");
  EXPECT_EQ(paul.note(), "");
  ListUsersRequest request;
  request.set_user("paul");
  ASSERT_TRUE(as_[kAdmin]->Call(&Stub::ListUsers, request, &list).ok());
  EXPECT_EQ(list.users(0).mail(), "paul@example.org");
}

TEST_F(UserServiceTest, WhoElseIsInAGroupIsItsOwnersToKnow) {
  Served paul(context_, paul_.uid);
  ListGroupsRequest request;
  request.set_group("os");
  GroupList list;
  ASSERT_TRUE(paul.Call(&Stub::ListGroups, request, &list).ok());
  EXPECT_EQ(list.groups(0).my_part(), "member");
  EXPECT_EQ(list.groups(0).members_size(), 0);
  EXPECT_EQ(list.groups(0).owners(0).name(), "tina");
  ASSERT_TRUE(as_[kTeacher]->Call(&Stub::ListGroups, request, &list).ok());
  ASSERT_EQ(list.groups(0).members_size(), 1);
  EXPECT_EQ(list.groups(0).members(0).name(), "paul");
}

TEST_F(UserServiceTest, WhoIsInvitedJoinsAndLeaves) {
  Served bob(context_, bob_.uid);
  EditGroupRequest invite;
  invite.set_group("os");
  invite.add_invite("bob");
  ASSERT_TRUE(as_[kTeacher]->Call(&Stub::EditGroup, invite).ok());
  GroupList list;
  ASSERT_TRUE(bob.Call(&Stub::ListGroups, ListGroupsRequest(), &list).ok());
  ASSERT_EQ(list.groups_size(), 1);
  EXPECT_EQ(list.groups(0).my_part(), "invited");
  ASSERT_TRUE(bob.Call(&Stub::JoinGroup, GroupNamed("os"), &list).ok());
  EXPECT_EQ(list.groups(0).my_part(), "member");
  ASSERT_TRUE(bob.Call(&Stub::LeaveGroup, GroupNamed("os")).ok());
  EXPECT_EQ(bob.Call(&Stub::LeaveGroup, GroupNamed("os")).error_code(), NOT_FOUND);
}

TEST_F(UserServiceTest, LimitsAreSetOneByOneAndShownWithWhatIsUsed) {
  SetLimitsRequest set;
  set.mutable_whose()->set_user("paul");
  set.mutable_set()->set_nodes(10);
  set.mutable_set()->set_memory_bytes(16ull << 30);
  ASSERT_TRUE(as_[kAdmin]->Call(&Stub::SetLimits, set).ok());
  set.mutable_set()->clear_memory_bytes();
  set.mutable_set()->set_nodes(8);
  ASSERT_TRUE(as_[kAdmin]->Call(&Stub::SetLimits, set).ok());
  set.mutable_whose()->Clear();
  set.mutable_whose()->set_group("os");
  set.mutable_whose()->set_group_all(true);
  set.mutable_set()->set_nodes(3);
  ASSERT_TRUE(as_[kAdmin]->Call(&Stub::SetLimits, set).ok());

  used_.emplace();
  (*used_)[paul_.uid][Resource::kNodes] = 2;
  LimitsRequest request;
  request.set_user("paul");
  LimitsView view;
  ASSERT_TRUE(as_[kTeacher]->Call(&Stub::ShowLimits, request, &view).ok());
  EXPECT_EQ(view.limits().nodes(), 8u);
  EXPECT_EQ(view.limits().memory_bytes(), 16ull << 30);
  EXPECT_EQ(view.effective(0).resource(), "nodes");
  EXPECT_EQ(view.effective(0).limit(), 3u) << "all members of os together";
  EXPECT_EQ(view.effective(0).used(), 2u);
  EXPECT_EQ(view.effective(0).whose(), "group os");

  SetLimitsRequest unset;
  unset.mutable_whose()->set_user("paul");
  unset.add_unset("memory");
  ASSERT_TRUE(as_[kAdmin]->Call(&Stub::SetLimits, unset, &view).ok());
  EXPECT_FALSE(view.limits().has_memory_bytes());
  EXPECT_TRUE(view.limits().has_nodes());
  used_.reset();
  ASSERT_TRUE(as_[kTeacher]->Call(&Stub::ShowLimits, request, &view).ok());
  EXPECT_FALSE(view.effective(0).has_used()) << "no master leads here";
}

TEST_F(UserServiceTest, ATokenIsShownOnceAndIsForWhatItSays) {
  CreateTokenRequest request;
  request.set_name("grow");
  request.set_life_ms(kHourMs);
  request.add_operations("vcluster.scale");
  request.set_vcluster("spark");
  CreateTokenResponse made;
  ASSERT_TRUE(as_[kUser]->Call(&Stub::CreateToken, request, &made).ok());
  EXPECT_EQ(made.token().vcluster(), "alice/spark");
  EXPECT_FALSE(made.token().everything());
  const auto caller = (*users_)->CallerOf(made.text(), "rest", "");
  ASSERT_TRUE(caller.ok());
  const Target spark{caller->uid, "alice/spark", "alice/spark"};
  EXPECT_TRUE((*users_)->Allows(*caller, Operation::kVclusterScale, spark));
  EXPECT_FALSE((*users_)->Allows(*caller, Operation::kVclusterDelete, spark));
  TokenList list;
  ASSERT_TRUE(as_[kUser]->Call(&Stub::ListTokens, ListTokensRequest(), &list).ok());
  ASSERT_EQ(list.tokens_size(), 1);
  EXPECT_THAT(list.DebugString(), testing::Not(HasSubstr(made.text())));
  request.add_operations("vcluster.explode");
  const grpc::Status unknown = as_[kUser]->Call(&Stub::CreateToken, request);
  EXPECT_EQ(unknown.error_code(), INVALID_ARGUMENT);
  EXPECT_THAT(unknown.error_message(), HasSubstr("vcluster.explode"));
}

TEST_F(UserServiceTest, ALockedAccountGoesOnWhenItIsUnlocked) {
  EditUserRequest edit;
  edit.set_user("lou");
  edit.set_status(users::v1::ACTIVE);
  EXPECT_EQ(as_[kLocked]->Call(&Stub::EditUser, edit).error_code(), PERMISSION_DENIED);
  ASSERT_TRUE(as_[kAdmin]->Call(&Stub::EditUser, edit).ok());
  EXPECT_TRUE(as_[kLocked]->Call(&Stub::ListUsers, ListUsersRequest()).ok());
}

TEST_F(UserServiceTest, WhatIsRefusedIsInTheAuditLog) {
  AddUserRequest request;
  request.set_name("mallory");
  EXPECT_FALSE(as_[kUser]->Call(&Stub::AddUser, request).ok());
  ListEventsRequest query;
  query.set_operation("user.create");
  query.set_user("alice");
  EventList events;
  ASSERT_TRUE(as_[kAdmin]->Call(&Stub::ListEvents, query, &events).ok());
  ASSERT_EQ(events.events_size(), 1);
  EXPECT_EQ(events.events(0).object(), "mallory");
  EXPECT_EQ(events.events(0).via(), "socket");
  // Who may not read all of it sees his own and what concerns him.
  ASSERT_TRUE(as_[kTeacher]->Call(&Stub::ListEvents, ListEventsRequest(), &events).ok());
  for (const users::v1::AuditEvent& event : events.events()) {
    EXPECT_TRUE(event.uid() == tina_.uid || event.owner_uid() == tina_.uid) << event.DebugString();
  }
}

}  // namespace
}  // namespace strata::vcluster
