// The tables of Strata's users. They may share a record store with others; what they hold is in
// vclusterd/api/users.proto.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/records/record_store.h"

namespace strata::vcluster {

inline constexpr records::Table kUsersTable{"users"};                      // By uid.
inline constexpr records::Table kUserSecretsTable{"user-secrets"};         // By uid.
inline constexpr records::Table kUserIndexTable{"user-index"};             // By what is looked for.
inline constexpr records::Table kUserTokensTable{"user-tokens"};           // By hash.
inline constexpr records::Table kUserGroupsTable{"user-groups"};           // By number.
inline constexpr records::Table kUserLimitsTable{"user-limits"};           // By whose they are.
inline constexpr records::Table kUserCreditsTable{"user-credits"};         // By uid.
inline constexpr records::Table kCreditMonthsTable{"user-credit-months"};  // By uid and month.
inline constexpr records::Table kCreditApplicationsTable{"user-credit-applications"};

inline std::vector<records::Table> UserTables() {
  return {kUsersTable,       kUserSecretsTable,  kUserIndexTable,
          kUserTokensTable,  kUserGroupsTable,   kUserLimitsTable,
          kUserCreditsTable, kCreditMonthsTable, kCreditApplicationsTable};
}

// Ten digits, so that byte order is the order of numbers.
inline std::string NumberKey(uint32_t number) {
  const std::string digits = std::to_string(number);
  return std::string(10 - digits.size(), '0') + digits;
}

// The number of a key of ten digits.
inline std::optional<uint32_t> NumberOfKey(std::string_view key) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
  if (key.size() != 10 || error != std::errc() || end != key.data() + key.size()) {
    return std::nullopt;
  }
  return number;
}

// Of kUserLimitsTable: of a user, of each member of a group, and of all of them together.
inline std::string UserLimitsKey(uint32_t uid) { return "user/" + NumberKey(uid); }
inline std::string GroupEachKey(uint32_t group) { return "group/" + NumberKey(group) + "/each"; }
inline std::string GroupAllKey(uint32_t group) { return "group/" + NumberKey(group) + "/all"; }

}  // namespace strata::vcluster
