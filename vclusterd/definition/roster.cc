#include "vclusterd/definition/roster.h"

#include <algorithm>
#include <map>
#include <optional>

#include "common/printable.h"

namespace strata::vcluster {
namespace {

constexpr size_t kColumnsMax = 16;
constexpr size_t kShownMax = 40;
constexpr std::string_view kMark = "\xef\xbb\xbf";  // That spreadsheets write first.

std::string Quoted(std::string_view text) { return "'" + Printable(text, kShownMax) + "'"; }

bool IsUserName(std::string_view text) {
  const auto is_letter_or_digit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !text.empty() && text.size() <= kStudentNameMax &&
         (is_letter_or_digit(text[0]) || text[0] == '_') &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return is_letter_or_digit(c) || std::string_view("_.-@+").find(c) != std::string::npos;
         });
}

std::string WithoutBlanks(const std::string& field) {
  constexpr const char* kBlanks = " \t";
  const size_t first = field.find_first_not_of(kBlanks);
  if (first == std::string::npos) return {};
  return field.substr(first, field.find_last_not_of(kBlanks) - first + 1);
}

// Reads one record after the other.
class CsvReader {
 public:
  explicit CsvReader(std::string_view text) : text_(text) {}

  bool at_end() const { return at_ == text_.size(); }
  uint32_t line() const { return line_; }

  Result<std::vector<std::string>> Record() {
    std::vector<std::string> fields;
    while (true) {
      if (fields.size() == kColumnsMax) return Wrong("has too many fields");
      ASSIGN_OR_RETURN(std::string field, Field());
      fields.push_back(std::move(field));
      if (Take(',')) continue;
      if (at_end() || Take('\n')) return fields;
      if (Take('\r') && Take('\n')) return fields;
      return Wrong("has something behind a closing quote");
    }
  }

 private:
  Error Wrong(const std::string& what) const { return {Code::kInvalidArgument, what}; }

  bool Take(char c) {
    if (at_end() || text_[at_] != c) return false;
    if (c == '\n') ++line_;
    ++at_;
    return true;
  }

  Result<std::string> Field() {
    std::string field;
    const bool quoted = Take('"');
    while (!at_end()) {
      const char c = text_[at_];
      if (quoted && c == '"') {
        ++at_;
        if (!Take('"')) return field;
        field += '"';
      } else if (!quoted && (c == ',' || c == '\n' || c == '\r')) {
        return WithoutBlanks(field);
      } else if (!quoted && c == '"') {
        return Wrong("has a quote inside of a field that does not begin with one");
      } else {
        field += c;
        if (c == '\n') ++line_;
        ++at_;
      }
      if (field.size() > kRosterFieldMax) {
        return Wrong("has a field of more than " + std::to_string(kRosterFieldMax) + " bytes");
      }
    }
    if (quoted) return Wrong("has a quote that is not closed");
    return WithoutBlanks(field);
  }

  const std::string_view text_;
  size_t at_ = 0;
  uint32_t line_ = 1;
};

using Column = std::string RosterEntry::*;

std::optional<Column> ColumnOf(std::string_view name) {
  if (name == "user") return &RosterEntry::user;
  if (name == "name") return &RosterEntry::name;
  if (name == "mail") return &RosterEntry::mail;
  if (name == "group") return &RosterEntry::group;
  return std::nullopt;
}

Result<std::vector<Column>> ReadHeader(const std::vector<std::string>& names) {
  std::vector<Column> columns;
  for (const std::string& name : names) {
    const auto column = ColumnOf(name);
    if (!column.has_value()) {
      return Error(Code::kInvalidArgument,
                   "the header names a column " + Quoted(name) + ": user, name, mail, group");
    }
    if (std::find(columns.begin(), columns.end(), *column) != columns.end()) {
      return Error(Code::kInvalidArgument, "the header names " + Quoted(name) + " twice");
    }
    columns.push_back(*column);
  }
  if (std::find(columns.begin(), columns.end(), &RosterEntry::user) == columns.end()) {
    return Error(Code::kInvalidArgument, "the header names no column 'user'");
  }
  return columns;
}

// `has_header`: it has a field for each column.
Result<RosterEntry> ReadEntry(const std::vector<Column>& columns, bool has_header,
                              std::vector<std::string> fields) {
  if (has_header && fields.size() != columns.size()) {
    return Error(Code::kInvalidArgument, "has " + std::to_string(fields.size()) +
                                             " fields, and the header " +
                                             std::to_string(columns.size()));
  }
  if (fields.size() > columns.size()) {
    return Error(Code::kInvalidArgument, "has more fields than user,name,mail");
  }
  RosterEntry entry;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (PrintablePrefix(fields[i]) != fields[i].size()) {
      return Error(Code::kInvalidArgument, "holds control characters, or is no UTF-8");
    }
    entry.*columns[i] = std::move(fields[i]);
  }
  if (IsUserName(entry.user)) return entry;
  return Error(Code::kInvalidArgument, Quoted(entry.user) + " is no name of a user");
}

}  // namespace

Result<std::vector<RosterEntry>> ParseRoster(std::string_view text, const std::string& file,
                                             RosterHeader header) {
  if (text.size() > kRosterBytesMax) {
    return Error(Code::kInvalidArgument,
                 file + " is larger than " + std::to_string(kRosterBytesMax >> 20) + " MiB");
  }
  if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
  CsvReader reader(text);
  std::vector<Column> columns;
  bool has_header = true;
  std::vector<RosterEntry> entries;
  std::map<std::string, uint32_t> lines;  // By user.
  while (!reader.at_end()) {
    const uint32_t line = reader.line();
    const std::string place = file + ", line " + std::to_string(line);
    if (line > kRosterLinesMax) {
      return Error(Code::kInvalidArgument,
                   place + ": more than " + std::to_string(kRosterLinesMax) + " lines");
    }
    ASSIGN_OR_RETURN(std::vector<std::string> fields, reader.Record(), place);
    if (fields.size() == 1 && fields[0].empty()) continue;
    if (columns.empty()) {
      has_header = header == RosterHeader::kNeeded || fields[0] == "user";
      if (has_header) {
        ASSIGN_OR_RETURN(columns, ReadHeader(fields), place);
        continue;
      }
      columns = {&RosterEntry::user, &RosterEntry::name, &RosterEntry::mail};
    }
    ASSIGN_OR_RETURN(RosterEntry entry, ReadEntry(columns, has_header, std::move(fields)), place);
    entry.line = line;
    const auto [first, is_new] = lines.emplace(entry.user, line);
    if (!is_new) {
      return Error(Code::kInvalidArgument, place + ": user " + Quoted(entry.user) + " is in line " +
                                               std::to_string(first->second) + " already");
    }
    entries.push_back(std::move(entry));
  }
  if (columns.empty() && header == RosterHeader::kNeeded) {
    return Error(Code::kInvalidArgument, file + " is empty: its first line names the columns");
  }
  if (entries.empty()) return Error(Code::kInvalidArgument, file + " names nobody");
  return entries;
}

}  // namespace strata::vcluster
