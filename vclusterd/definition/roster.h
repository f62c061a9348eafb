// Rosters: who is in a class or a group, as a CSV file (RFC 4180). Pure; the text may come from
// anybody.
//
//   user,name,mail,group
//   anna,"Anna, the first",anna@example.org,morning
//
// The first line names the columns, in any order; `user` must be among them. Lines end in LF or
// CRLF; fields may be quoted, with "" for a quote; blanks around those that are not do not count,
// and empty lines are passed over. Refused with the line: anything else, unknown or missing
// columns, users twice.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace strata::vcluster {

inline constexpr size_t kRosterBytesMax = 3u << 20;
inline constexpr size_t kRosterLinesMax = 10'000;
inline constexpr size_t kRosterFieldMax = 256;  // Bytes.
inline constexpr size_t kStudentNameMax = 64;

struct RosterEntry {
  std::string user;
  std::string name;
  std::string mail;
  std::string group;
  uint32_t line = 0;  // Where it begins.
  bool operator==(const RosterEntry&) const = default;
};

enum class RosterHeader {
  kNeeded,
  // A first line that does not begin with "user" is an entry: of user, name and mail, of which the
  // last may be left out.
  kOptional,
};

// At least one entry. kInvalidArgument names `file`, the line, and what is wrong there.
Result<std::vector<RosterEntry>> ParseRoster(std::string_view text, const std::string& file,
                                             RosterHeader header = RosterHeader::kNeeded);

}  // namespace strata::vcluster
