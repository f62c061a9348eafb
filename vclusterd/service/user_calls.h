// UserCalls: what UserService (vclusterd/api/accounts.proto) answers to one caller, without gRPC:
// names become numbers, Users is asked, and what the caller may see becomes a message.
//
// A user or group that the caller may not know of is answered as one that does not exist
// (kNotFound); what he knows of and may not do with kPermissionDenied. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "common/result.h"
#include "vclusterd/api/accounts.pb.h"
#include "vclusterd/users/users.h"

namespace strata::vcluster {

// What the Vclusters of each user demand now (quota_demand.h); nullopt: no master leads here.
using QuotaUsedSource = std::function<std::optional<std::map<uint32_t, QuotaAmounts>>()>;

struct UserCallsContext {
  Users* users = nullptr;  // Outlives the calls.
  QuotaUsedSource used;
  bool charged = false;  // Whether hours are charged here.
};

class UserCalls {
 public:
  UserCalls(UserCallsContext context, Caller caller)
      : context_(std::move(context)), users_(*context_.users), caller_(std::move(caller)) {}

  // user_calls_accounts.cc
  Result<accounts::v1::UserList> ListUsers(const accounts::v1::ListUsersRequest& request);
  Result<accounts::v1::UserList> AddUser(const accounts::v1::AddUserRequest& request);
  Result<accounts::v1::UserList> EditUser(const accounts::v1::EditUserRequest& request);
  Result<accounts::v1::UserList> SetPassword(const accounts::v1::SetPasswordRequest& request);
  Result<accounts::v1::UserList> UnlockSignIn(const accounts::v1::UserRequest& request);
  Result<accounts::v1::UserList> DeleteUser(const accounts::v1::UserRequest& request);
  Result<accounts::v1::TokenList> ListTokens(const accounts::v1::ListTokensRequest& request);
  Result<accounts::v1::CreateTokenResponse> CreateToken(
      const accounts::v1::CreateTokenRequest& request);
  Result<accounts::v1::TokenList> RevokeToken(const accounts::v1::RevokeTokenRequest& request);

  // user_calls_groups.cc
  Result<accounts::v1::GroupList> ListGroups(const accounts::v1::ListGroupsRequest& request);
  Result<accounts::v1::GroupList> AddGroup(const accounts::v1::AddGroupRequest& request);
  Result<accounts::v1::GroupList> EditGroup(const accounts::v1::EditGroupRequest& request);
  Result<accounts::v1::GroupList> JoinGroup(const accounts::v1::GroupRequest& request);
  Result<accounts::v1::GroupList> LeaveGroup(const accounts::v1::GroupRequest& request);
  Result<accounts::v1::GroupList> DeleteGroup(const accounts::v1::GroupRequest& request);

  // user_calls_amounts.cc
  Result<accounts::v1::LimitsView> ShowLimits(const accounts::v1::LimitsRequest& request);
  Result<accounts::v1::LimitsView> SetLimits(const accounts::v1::SetLimitsRequest& request);
  Result<accounts::v1::CreditsView> ShowCredits(const accounts::v1::CreditsRequest& request);
  Result<accounts::v1::ApplicationList> ListApplications(
      const accounts::v1::ListApplicationsRequest& request);
  Result<accounts::v1::ApplicationList> ApplyForCredits(
      const accounts::v1::ApplyForCreditsRequest& request);
  Result<accounts::v1::ApplicationList> DecideApplication(
      const accounts::v1::DecideApplicationRequest& request);
  Result<accounts::v1::CreditsView> GrantCredits(const accounts::v1::GrantCreditsRequest& request);
  Result<accounts::v1::CreditsView> SetCreditBudget(
      const accounts::v1::SetCreditBudgetRequest& request);
  Result<accounts::v1::EventList> ListEvents(const accounts::v1::ListEventsRequest& request);

 private:
  struct Holder {
    LimitHolder holder;
    Target target;  // Whom rights are asked for.
    std::string whose;
  };

  // The user of this name or number, if the caller sees him or may do `operation` to him; empty:
  // the caller.
  Result<uint32_t> UserIn(const std::string& name, Operation operation) const;
  Target TargetOf(uint32_t uid) const { return {uid, users_.NameOf(uid), ""}; }
  // Nothing of a locked account's, not even his own.
  Status MayList(Operation operation) {
    return users_.Authorize(caller_, operation, TargetOf(caller_.uid));
  }
  accounts::v1::Person PersonOf(uint32_t uid) const;
  void Show(const users::v1::Account& account, accounts::v1::UserList* list) const;
  accounts::v1::UserList Just(const AccountPtr& account) const;

  bool Sees(const users::v1::Group& group) const;
  Result<GroupPtr> GroupIn(const std::string& name) const;
  Target GroupTarget(const users::v1::Group& group) const;
  accounts::v1::GroupList Just(const users::v1::Group& group) const;
  accounts::v1::GroupInfo InfoOf(const users::v1::Group& group) const;
  Result<Holder> HolderIn(const accounts::v1::LimitsRequest& request, Operation operation) const;
  accounts::v1::LimitsView LimitsOfHolder(const Holder& holder) const;
  void ShowEffective(uint32_t uid, accounts::v1::LimitsView* view) const;
  accounts::v1::TokenInfo InfoOf(const Token& token) const;
  accounts::v1::ApplicationInfo InfoOf(const users::v1::CreditApplication& application) const;
  accounts::v1::CreditsView CreditsOf(uint32_t uid) const;

  const UserCallsContext context_;
  Users& users_;
  const Caller caller_;
};

}  // namespace strata::vcluster
