// Enums of users.proto as words, for tables, arguments and JSON. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "vclusterd/api/users.pb.h"

namespace strata::users::v1 {

const char* WordOf(Role role);  // "user", "teacher", "admin"
std::optional<Role> RoleOfWord(std::string_view word);
const char* WordOf(AccountStatus status);
const char* WordOf(CreditKind kind);
const char* WordOf(ApplicationStatus status);

}  // namespace strata::users::v1
