#include "vclusterd/users/sign_in.h"

#include "vclusterd/users/account_rules.h"

namespace strata::vcluster {

Status CheckActive(const users::v1::Account& account) {
  switch (account.status()) {
    case users::v1::ACTIVE:
      return Ok();
    case users::v1::WAITING:
      return Error(Code::kPermissionDenied, "this account waits for an admin's approval");
    default:
      return Error(Code::kPermissionDenied,
                   "this account is locked" +
                       (account.note().empty() ? std::string() : ": " + account.note()));
  }
}

// The account that the host's word is enough for; null: none.
Result<AccountPtr> SignIn::AskHost(const std::string& name, const std::string& password,
                                   const std::string& source) {
  if (!options_.host_takes) return AccountPtr();
  ASSIGN_OR_RETURN(const bool host_takes, options_.host_takes(name, password, source));
  if (!host_takes) return AccountPtr();
  if (const AccountPtr account = accounts_.FindByName(name)) {
    return account->pam() ? account : AccountPtr();
  }
  using enum SignInOptions::NewHostUser;
  if (options_.new_host_user == kRefuse) return AccountPtr();
  NewAccount wanted;
  wanted.name = name;
  wanted.pam = true;
  wanted.status = options_.new_host_user == kActive ? users::v1::ACTIVE : users::v1::WAITING;
  auto added = accounts_.AddHostUser(wanted, /*unknown=*/true);
  // An admin adds root, and whose account was deleted.
  if (!added.ok() && (added.error().code() == Code::kInvalidArgument ||
                      added.error().code() == Code::kPermissionDenied)) {
    return AccountPtr();
  }
  return added;
}

Result<AccountPtr> SignIn::WithPassword(const std::string& name, const std::string& password,
                                        const std::string& source) {
  const Error wrong(Code::kPermissionDenied, "wrong name or password");
  if (!CheckUserName(name).ok() || password.size() > kPasswordBytesMax ||
      password.find('\0') != std::string::npos) {
    return wrong;  // Nobody's, and everybody knows it.
  }
  const AccountPtr known = accounts_.FindByName(name);
  const bool is_admin = known != nullptr && known->role() == users::v1::ADMIN;
  RETURN_IF_ERROR(guard_.Begin(name, source, is_admin, now_()));
  const auto is_his = accounts_.VerifyPassword(name, password);
  if (!is_his.ok()) {
    guard_.TakeBack(name, source, now_());
    return is_his.error();
  }
  auto account = *is_his ? accounts_.FindByName(name) : AskHost(name, password, source);
  if (!account.ok()) {
    // A wrong password here is a guess, whatever the host would have said.
    const bool was_guess = known != nullptr && known->has_password();
    was_guess ? guard_.Failed(source, now_()) : guard_.TakeBack(name, source, now_());
    return account.error();
  }
  if (*account == nullptr) {
    guard_.Failed(source, now_());
    return wrong;
  }
  if (const Status active = CheckActive(**account); !active.ok()) {
    guard_.TakeBack(name, source, now_());
    return active.error();
  }
  guard_.Succeeded(name, source, now_());
  return account;
}

}  // namespace strata::vcluster
