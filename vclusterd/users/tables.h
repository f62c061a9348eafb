// The tables of Strata's users. They may share a record store with others; what they hold is in
// vclusterd/api/users.proto.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/records/record_store.h"

namespace strata::vcluster {

inline constexpr records::Table kUsersTable{"users"};               // By uid.
inline constexpr records::Table kUserSecretsTable{"user-secrets"};  // By uid.
inline constexpr records::Table kUserIndexTable{"user-index"};      // By what is looked for.
inline constexpr records::Table kUserTokensTable{"user-tokens"};    // By hash.

inline std::vector<records::Table> UserTables() {
  return {kUsersTable, kUserSecretsTable, kUserIndexTable, kUserTokensTable};
}

// Ten digits, so that byte order is the order of numbers.
inline std::string NumberKey(uint32_t number) {
  const std::string digits = std::to_string(number);
  return std::string(10 - digits.size(), '0') + digits;
}

}  // namespace strata::vcluster
