// Accounts, groups and credits in words, for tables and arguments. Pure.
#pragma once

#include <string>

#include "common/result.h"
#include "vclusterd/api/account_words.h"
#include "vclusterd/api/accounts.pb.h"

namespace strata::tools {

// "user", "teacher", "admin".
Result<users::v1::Role> ParseRole(const std::string& word);
// "password, PAM, 2 issuers"
std::string SignsInBy(const users::v1::Account& account);
// "alice, bob"
std::string Names(const google::protobuf::RepeatedPtrField<accounts::v1::Person>& people);

}  // namespace strata::tools
