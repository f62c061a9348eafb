#include "vclusterd/service/user_service.h"

#include <grpcpp/grpcpp.h>

#include "common/rpc/status.h"
#include "vclusterd/api/accounts.grpc.pb.h"

namespace strata::vcluster {
namespace {

using namespace accounts::v1;
using Context = grpc::ServerContext;

class UserServiceImpl final : public UserService::Service {
 public:
  UserServiceImpl(UserCallsContext context, rpc::Caller caller)
      : calls_(std::move(context), {caller.uid, "socket", "", nullptr}) {}

  grpc::Status ListUsers(Context*, const ListUsersRequest* request, UserList* response) override {
    return Answer(calls_.ListUsers(*request), response);
  }
  grpc::Status AddUser(Context*, const AddUserRequest* request, UserList* response) override {
    return Answer(calls_.AddUser(*request), response);
  }
  grpc::Status EditUser(Context*, const EditUserRequest* request, UserList* response) override {
    return Answer(calls_.EditUser(*request), response);
  }
  grpc::Status SetPassword(Context*, const SetPasswordRequest* request,
                           UserList* response) override {
    return Answer(calls_.SetPassword(*request), response);
  }
  grpc::Status UnlockSignIn(Context*, const UserRequest* request, UserList* response) override {
    return Answer(calls_.UnlockSignIn(*request), response);
  }
  grpc::Status DeleteUser(Context*, const UserRequest* request, UserList* response) override {
    return Answer(calls_.DeleteUser(*request), response);
  }
  grpc::Status ListGroups(Context*, const ListGroupsRequest* request,
                          GroupList* response) override {
    return Answer(calls_.ListGroups(*request), response);
  }
  grpc::Status AddGroup(Context*, const AddGroupRequest* request, GroupList* response) override {
    return Answer(calls_.AddGroup(*request), response);
  }
  grpc::Status EditGroup(Context*, const EditGroupRequest* request, GroupList* response) override {
    return Answer(calls_.EditGroup(*request), response);
  }
  grpc::Status JoinGroup(Context*, const GroupRequest* request, GroupList* response) override {
    return Answer(calls_.JoinGroup(*request), response);
  }
  grpc::Status LeaveGroup(Context*, const GroupRequest* request, GroupList* response) override {
    return Answer(calls_.LeaveGroup(*request), response);
  }
  grpc::Status DeleteGroup(Context*, const GroupRequest* request, GroupList* response) override {
    return Answer(calls_.DeleteGroup(*request), response);
  }
  grpc::Status ShowLimits(Context*, const LimitsRequest* request, LimitsView* response) override {
    return Answer(calls_.ShowLimits(*request), response);
  }
  grpc::Status SetLimits(Context*, const SetLimitsRequest* request, LimitsView* response) override {
    return Answer(calls_.SetLimits(*request), response);
  }
  grpc::Status ListTokens(Context*, const ListTokensRequest* request,
                          TokenList* response) override {
    return Answer(calls_.ListTokens(*request), response);
  }
  grpc::Status CreateToken(Context*, const CreateTokenRequest* request,
                           CreateTokenResponse* response) override {
    return Answer(calls_.CreateToken(*request), response);
  }
  grpc::Status RevokeToken(Context*, const RevokeTokenRequest* request,
                           TokenList* response) override {
    return Answer(calls_.RevokeToken(*request), response);
  }
  grpc::Status ShowCredits(Context*, const CreditsRequest* request,
                           CreditsView* response) override {
    return Answer(calls_.ShowCredits(*request), response);
  }
  grpc::Status ListApplications(Context*, const ListApplicationsRequest* request,
                                ApplicationList* response) override {
    return Answer(calls_.ListApplications(*request), response);
  }
  grpc::Status ApplyForCredits(Context*, const ApplyForCreditsRequest* request,
                               ApplicationList* response) override {
    return Answer(calls_.ApplyForCredits(*request), response);
  }
  grpc::Status DecideApplication(Context*, const DecideApplicationRequest* request,
                                 ApplicationList* response) override {
    return Answer(calls_.DecideApplication(*request), response);
  }
  grpc::Status GrantCredits(Context*, const GrantCreditsRequest* request,
                            CreditsView* response) override {
    return Answer(calls_.GrantCredits(*request), response);
  }
  grpc::Status SetCreditBudget(Context*, const SetCreditBudgetRequest* request,
                               CreditsView* response) override {
    return Answer(calls_.SetCreditBudget(*request), response);
  }
  grpc::Status ListEvents(Context*, const ListEventsRequest* request,
                          EventList* response) override {
    return Answer(calls_.ListEvents(*request), response);
  }

 private:
  template <typename Response>
  static grpc::Status Answer(Result<Response> result, Response* response) {
    if (!result.ok()) return rpc::ToGrpc(result.error());
    *response = std::move(*result);
    return grpc::Status::OK;
  }

  UserCalls calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeUserService(UserCallsContext context, rpc::Caller caller) {
  return std::make_unique<UserServiceImpl>(std::move(context), caller);
}

}  // namespace strata::vcluster
