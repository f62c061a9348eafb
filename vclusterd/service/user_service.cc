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

  // Each is what UserCalls has under the same name.
#define STRATA_USER_CALL(Name, Request, Response)                                    \
  grpc::Status Name(Context*, const Request* request, Response* response) override { \
    return Answer(calls_.Name(*request), response);                                  \
  }
  STRATA_USER_CALL(ListUsers, ListUsersRequest, UserList)
  STRATA_USER_CALL(AddUser, AddUserRequest, UserList)
  STRATA_USER_CALL(EditUser, EditUserRequest, UserList)
  STRATA_USER_CALL(SetPassword, SetPasswordRequest, UserList)
  STRATA_USER_CALL(UnlockSignIn, UserRequest, UserList)
  STRATA_USER_CALL(DeleteUser, UserRequest, UserList)
  STRATA_USER_CALL(ListGroups, ListGroupsRequest, GroupList)
  STRATA_USER_CALL(AddGroup, AddGroupRequest, GroupList)
  STRATA_USER_CALL(EditGroup, EditGroupRequest, GroupList)
  STRATA_USER_CALL(JoinGroup, GroupRequest, GroupList)
  STRATA_USER_CALL(LeaveGroup, GroupRequest, GroupList)
  STRATA_USER_CALL(DeleteGroup, GroupRequest, GroupList)
  STRATA_USER_CALL(ShowLimits, LimitsRequest, LimitsView)
  STRATA_USER_CALL(SetLimits, SetLimitsRequest, LimitsView)
  STRATA_USER_CALL(ListTokens, ListTokensRequest, TokenList)
  STRATA_USER_CALL(CreateToken, CreateTokenRequest, CreateTokenResponse)
  STRATA_USER_CALL(RevokeToken, RevokeTokenRequest, TokenList)
  STRATA_USER_CALL(ShowCredits, CreditsRequest, CreditsView)
  STRATA_USER_CALL(ListApplications, ListApplicationsRequest, ApplicationList)
  STRATA_USER_CALL(ApplyForCredits, ApplyForCreditsRequest, ApplicationList)
  STRATA_USER_CALL(DecideApplication, DecideApplicationRequest, ApplicationList)
  STRATA_USER_CALL(GrantCredits, GrantCreditsRequest, CreditsView)
  STRATA_USER_CALL(SetCreditBudget, SetCreditBudgetRequest, CreditsView)
  STRATA_USER_CALL(ListEvents, ListEventsRequest, EventList)
#undef STRATA_USER_CALL

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
