#include "vclusterd/users/sign_in.h"

#include "vclusterd/users/account_rules.h"

namespace strata::vcluster {
namespace {

constexpr int kNamesTried = 200;

}  // namespace

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
  using enum SignInOptions::Newcomer;
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
  // As it was before it was proved: a session rests on that.
  auto account = *is_his ? Result<AccountPtr>(known) : AskHost(name, password, source);
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

std::string UserNameOf(const std::string& wanted) {
  constexpr size_t kBytesMax = 28;  // Leaves room for a number.
  std::string name;
  for (char c : wanted.substr(0, wanted.find('@'))) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const bool is_letter = c >= 'a' && c <= 'z';
    const bool is_plain = is_letter || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (name.size() == kBytesMax || (name.empty() && !is_letter)) continue;
    name += is_plain ? c : '-';
  }
  return name.empty() ? "user" : name;
}

Result<AccountPtr> SignIn::AddNewcomer(const IdClaims& claims) {
  using enum SignInOptions::Newcomer;
  if (options_.new_open_id_user == kRefuse) {
    return Error(Code::kPermissionDenied, "you have no account here: ask an admin for one");
  }
  NewAccount wanted;
  wanted.status = options_.new_open_id_user == kActive ? users::v1::ACTIVE : users::v1::WAITING;
  wanted.open_id.emplace();
  wanted.open_id->set_issuer(claims.issuer);
  wanted.open_id->set_subject(claims.subject);
  // They are the issuer's words: what an account cannot hold is left out.
  if (CheckRealName(claims.real_name).ok()) wanted.real_name = claims.real_name;
  if (CheckMail(claims.mail).ok()) wanted.mail = claims.mail;
  const std::string name = UserNameOf(claims.user_name.empty() ? claims.mail : claims.user_name);
  for (int number = 1;; ++number) {
    wanted.name = number == 1 ? name : name + std::to_string(number);
    auto made = accounts_.Create(wanted);
    if (made.ok() || made.error().code() != Code::kAlreadyExists || number == kNamesTried) {
      return made;
    }
    // Not the name is taken: he has signed in twice at once.
    const AccountPtr account = accounts_.FindByOpenId(*wanted.open_id);
    if (account != nullptr) return account;
  }
}

Result<AccountPtr> SignIn::WithClaims(const IdClaims& claims) {
  users::v1::OpenIdSubject subject;
  subject.set_issuer(claims.issuer);
  subject.set_subject(claims.subject);
  AccountPtr account = accounts_.FindByOpenId(subject);
  if (account == nullptr) {
    ASSIGN_OR_RETURN(account, AddNewcomer(claims));
  }
  RETURN_IF_ERROR(CheckActive(*account));
  return account;
}

}  // namespace strata::vcluster
