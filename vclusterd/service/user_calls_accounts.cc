// Accounts and tokens.
#include "common/printable.h"
#include "vclusterd/service/user_calls.h"

namespace strata::vcluster {
namespace {

using namespace accounts::v1;

// Less than clients take in one message.
constexpr size_t kListBytesMax = 12u << 20;

Error Unknown(const std::string& name) {
  return Error(Code::kNotFound, "there is no user '" + Printable(name, 64) +
                                    "', or you may not know of him (see: vcluster user list)");
}

Error Without(const std::string& name) {
  return Error(Code::kNotFound, "user " + Printable(name, 64) +
                                    " has no account in Strata (an admin adds one: vcluster user "
                                    "add NAME, of the host: --host)");
}

template <typename T>
void Take(bool is_given, const T& value, std::optional<T>* out) {
  if (is_given) *out = value;
}

}  // namespace

Result<uint32_t> UserCalls::UserIn(const std::string& name, Operation operation) const {
  if (name.empty()) return caller_.uid;
  const auto uid = users_.UidOf(name);
  if (!uid.ok()) return Unknown(name);
  const Target target = TargetOf(*uid);
  const bool may_know = *uid == caller_.uid ||
                        users_.Allows(caller_, Operation::kUserList, target) ||
                        users_.Allows(caller_, operation, target);
  if (!may_know) return Unknown(name);
  return *uid;
}

Person UserCalls::PersonOf(uint32_t uid) const {
  Person person;
  person.set_uid(uid);
  person.set_name(users_.NameOf(uid));
  return person;
}

void UserCalls::Show(const users::v1::Account& account, UserList* list) const {
  users::v1::Account& shown = *list->add_users();
  if (users_.Allows(caller_, Operation::kUserEdit, TargetOf(account.uid()))) {
    shown = account;
    return;
  }
  shown.set_uid(account.uid());
  shown.set_name(account.name());
  shown.set_real_name(account.real_name());
  shown.set_role(account.role());
  shown.set_status(account.status());
}

UserList UserCalls::Just(const AccountPtr& account) const {
  UserList list;
  if (account != nullptr) Show(*account, &list);
  return list;
}

Result<UserList> UserCalls::ListUsers(const ListUsersRequest& request) {
  if (!request.user().empty()) {
    ASSIGN_OR_RETURN(const uint32_t uid, UserIn(request.user(), Operation::kUserList));
    RETURN_IF_ERROR(users_.Authorize(caller_, Operation::kUserList, TargetOf(uid)));
    const AccountPtr account = users_.accounts().Find(uid);
    if (account == nullptr) return Without(request.user());
    return Just(account);
  }
  RETURN_IF_ERROR(MayList(Operation::kUserList));
  UserList list;
  size_t bytes = 0;
  for (const AccountPtr& account : users_.accounts().All()) {
    if (!users_.Allows(caller_, Operation::kUserList, TargetOf(account->uid()))) continue;
    Show(*account, &list);
    bytes += list.users(list.users_size() - 1).ByteSizeLong() + 8;
    if (bytes > kListBytesMax) {
      return Error(Code::kResourceExhausted,
                   "there are too many accounts for one answer: name one");
    }
  }
  return list;
}

Result<UserList> UserCalls::AddUser(const AddUserRequest& request) {
  NewAccount wanted;
  wanted.name = request.name();
  wanted.real_name = request.real_name();
  wanted.mail = request.mail();
  wanted.role = request.role();
  wanted.status = request.waiting() ? users::v1::WAITING : users::v1::ACTIVE;
  wanted.pam = request.pam();
  wanted.note = request.note();
  Take(request.has_password(), request.password(), &wanted.password);
  if (!users::v1::Role_IsValid(request.role())) {
    return Error(Code::kInvalidArgument, "a role is user, teacher or admin");
  }
  ASSIGN_OR_RETURN(const AccountPtr account,
                   users_.CreateAccount(caller_, wanted, request.of_host()));
  return Just(account);
}

Result<UserList> UserCalls::EditUser(const EditUserRequest& request) {
  ASSIGN_OR_RETURN(const uint32_t uid, UserIn(request.user(), Operation::kUserEdit));
  AccountEdit edit;
  Take(request.has_revision(), request.revision(), &edit.revision);
  Take(request.has_real_name(), request.real_name(), &edit.real_name);
  Take(request.has_mail(), request.mail(), &edit.mail);
  Take(request.has_note(), request.note(), &edit.note);
  Take(request.has_role(), request.role(), &edit.role);
  Take(request.has_status(), request.status(), &edit.status);
  Take(request.has_pam(), request.pam(), &edit.pam);
  Take(request.has_link(), request.link(), &edit.link);
  Take(request.has_unlink(), request.unlink(), &edit.unlink);
  if (edit.role && !users::v1::Role_IsValid(*edit.role)) {
    return Error(Code::kInvalidArgument, "a role is user, teacher or admin");
  }
  if (edit.status && *edit.status != users::v1::ACTIVE && *edit.status != users::v1::LOCKED) {
    return Error(Code::kInvalidArgument, "an account can be made active or locked");
  }
  ASSIGN_OR_RETURN(const AccountPtr account, users_.EditAccount(caller_, uid, edit));
  return Just(account);
}

Result<UserList> UserCalls::SetPassword(const SetPasswordRequest& request) {
  ASSIGN_OR_RETURN(const uint32_t uid, UserIn(request.user(), Operation::kUserPassword));
  const bool needs_old = uid == caller_.uid && uid != 0;
  if (needs_old && request.old_password().empty() &&
      users_.Allows(caller_, Operation::kUserPassword, TargetOf(uid))) {
    return Error(Code::kInvalidArgument,
                 "your own password needs the old one: vcluster user passwd, without a name");
  }
  RETURN_IF_ERROR(users_.SetPassword(caller_, uid, request.old_password(), request.new_password()));
  return Just(users_.accounts().Find(uid));
}

Result<UserList> UserCalls::UnlockSignIn(const UserRequest& request) {
  ASSIGN_OR_RETURN(const uint32_t uid, UserIn(request.user(), Operation::kUserUnlock));
  RETURN_IF_ERROR(users_.UnlockSignIn(caller_, uid));
  return Just(users_.accounts().Find(uid));
}

Result<UserList> UserCalls::DeleteUser(const UserRequest& request) {
  if (request.user().empty()) return Error(Code::kInvalidArgument, "say whose account");
  ASSIGN_OR_RETURN(const uint32_t uid, UserIn(request.user(), Operation::kUserDelete));
  const AccountPtr account = users_.accounts().Find(uid);
  RETURN_IF_ERROR(users_.DeleteAccount(caller_, uid, std::nullopt));
  return Just(account);
}

// --- Tokens -------------------------------------------------------------------------------------

TokenInfo UserCalls::InfoOf(const Token& token) const {
  const users::v1::Token& record = token.record;
  TokenInfo info;
  info.set_id(token.id);
  info.set_user(users_.NameOf(record.uid()));
  info.set_name(record.name());
  info.set_kind(record.kind());
  info.set_everything(record.everything());
  *info.mutable_operations() = record.operations();
  info.set_vcluster(record.vcluster());
  info.set_created_unix_ms(record.created_unix_ms());
  info.set_expires_unix_ms(record.expires_unix_ms());
  info.set_used_unix_ms(std::max(token.used_unix_ms.load(), record.used_unix_ms()));
  return info;
}

Result<TokenList> UserCalls::ListTokens(const ListTokensRequest& request) {
  ASSIGN_OR_RETURN(const uint32_t uid, UserIn(request.user(), Operation::kTokenList));
  RETURN_IF_ERROR(users_.Authorize(caller_, Operation::kTokenList, TargetOf(uid)));
  TokenList list;
  for (const TokenPtr& token : users_.tokens().Of(uid)) *list.add_tokens() = InfoOf(*token);
  return list;
}

Result<CreateTokenResponse> UserCalls::CreateToken(const CreateTokenRequest& request) {
  NewToken wanted;
  wanted.kind = users::v1::API;
  wanted.name = request.name();
  wanted.life_ms = request.life_ms();
  if (!request.operations().empty()) wanted.scope.operations = {};
  for (const std::string& name : request.operations()) {
    const auto operation = ParseOperation(name);
    if (!operation) {
      return Error(Code::kInvalidArgument,
                   "'" + Printable(name, 64) + "' is no operation (docs/users.md, \"Rights\")");
    }
    wanted.scope.operations.Add(*operation);
  }
  wanted.scope.vcluster = request.vcluster();
  if (!request.vcluster().empty() && request.vcluster().find('/') == std::string::npos) {
    wanted.scope.vcluster = users_.NameOf(caller_.uid) + "/" + request.vcluster();
  }
  ASSIGN_OR_RETURN(const MadeToken made, users_.CreateToken(caller_, wanted));
  CreateTokenResponse response;
  response.set_text(made.text);
  *response.mutable_token() = InfoOf(*made.token);
  return response;
}

Result<TokenList> UserCalls::RevokeToken(const RevokeTokenRequest& request) {
  const TokenPtr token = users_.tokens().Find(request.id());
  RETURN_IF_ERROR(users_.RevokeToken(caller_, request.id()));
  TokenList list;
  if (token != nullptr) *list.add_tokens() = InfoOf(*token);
  return list;
}

}  // namespace strata::vcluster
