// A class as a list: lines of "user,name,mail", as spreadsheets write them (RFC 4180). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace strata::tools {

inline constexpr size_t kRosterBytesMax = 4u << 20;
inline constexpr size_t kRosterRowsMax = 10'000;

struct RosterEntry {
  std::string user;
  std::string real_name;  // May be empty, as the mail.
  std::string mail;
};

// A first line that begins with "user" is a heading. kInvalidArgument names the line.
Result<std::vector<RosterEntry>> ParseRoster(std::string_view text);

}  // namespace strata::tools
