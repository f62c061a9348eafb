#include "vclusterd/api/account_words.h"

namespace strata::users::v1 {

const char* WordOf(Role role) {
  if (role == ADMIN) return "admin";
  return role == TEACHER ? "teacher" : "user";
}

std::optional<Role> RoleOfWord(std::string_view word) {
  for (const auto role : {USER, TEACHER, ADMIN}) {
    if (word == WordOf(role)) return role;
  }
  return std::nullopt;
}

const char* WordOf(AccountStatus status) {
  switch (status) {
    case WAITING:
      return "waiting";
    case ACTIVE:
      return "active";
    case LOCKED:
      return "locked";
    default:
      return "deleted";
  }
}

const char* WordOf(CreditKind kind) {
  switch (kind) {
    case INITIAL:
      return "initial";
    case CHARGE:
      return "charge";
    case GRANT:
      return "grant";
    case APPROVAL:
      return "approval";
    default:
      return "other";
  }
}

const char* WordOf(ApplicationStatus status) {
  if (status == APPROVED) return "approved";
  return status == DENIED ? "denied" : "pending";
}

}  // namespace strata::users::v1
