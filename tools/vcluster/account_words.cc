#include "tools/vcluster/account_words.h"

#include "common/printable.h"

namespace strata::tools {

const char* RoleWord(users::v1::Role role) {
  if (role == users::v1::ADMIN) return "admin";
  return role == users::v1::TEACHER ? "teacher" : "user";
}

Result<users::v1::Role> ParseRole(const std::string& word) {
  for (const auto role : {users::v1::USER, users::v1::TEACHER, users::v1::ADMIN}) {
    if (word == RoleWord(role)) return role;
  }
  return Error(Code::kInvalidArgument,
               "'" + Printable(word, 40) + "' is no role: user, teacher or admin");
}

const char* StatusWord(users::v1::AccountStatus status) {
  switch (status) {
    case users::v1::WAITING:
      return "waiting";
    case users::v1::ACTIVE:
      return "active";
    case users::v1::LOCKED:
      return "locked";
    default:
      return "deleted";
  }
}

const char* CreditKindWord(users::v1::CreditKind kind) {
  switch (kind) {
    case users::v1::INITIAL:
      return "initial";
    case users::v1::CHARGE:
      return "charge";
    case users::v1::GRANT:
      return "grant";
    case users::v1::APPROVAL:
      return "approval";
    default:
      return "other";
  }
}

const char* ApplicationWord(users::v1::ApplicationStatus status) {
  if (status == users::v1::APPROVED) return "approved";
  return status == users::v1::DENIED ? "denied" : "pending";
}

std::string SignsInBy(const users::v1::Account& account) {
  std::string text;
  const auto add = [&](const std::string& way) { text += (text.empty() ? "" : ", ") + way; };
  if (account.has_password()) add("password");
  if (account.pam()) add("PAM");
  if (account.open_ids_size() > 0) {
    add(std::to_string(account.open_ids_size()) +
        (account.open_ids_size() == 1 ? " issuer" : " issuers"));
  }
  return text.empty() ? "-" : text;
}

std::string Names(const google::protobuf::RepeatedPtrField<accounts::v1::Person>& people) {
  std::string text;
  for (const accounts::v1::Person& person : people) {
    text += (text.empty() ? "" : ", ") + person.name();
  }
  return text.empty() ? "-" : text;
}

}  // namespace strata::tools
