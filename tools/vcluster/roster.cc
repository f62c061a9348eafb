#include "tools/vcluster/roster.h"

#include <algorithm>
#include <set>

#include "common/printable.h"

namespace strata::tools {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr size_t kColumnsMax = 3;

class RowReader {
 public:
  explicit RowReader(std::string_view text) : rest_(text) {
    if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
  }

  bool AtEnd() const { return rest_.empty(); }
  size_t line() const { return line_; }

  // The fields of the next row, without blanks around them.
  Result<std::vector<std::string>> Next() {
    line_ = next_line_;
    std::vector<std::string> fields;
    do {
      ASSIGN_OR_RETURN(std::string field, Field());
      fields.push_back(std::move(field));
    } while (Take(','));
    Take('\r');
    if (!AtEnd() && !Take('\n')) return Wrong("text follows a quoted field");
    ++next_line_;
    return fields;
  }

  Error Wrong(const std::string& what) const {
    return Error(Code::kInvalidArgument, "line " + std::to_string(line_) + ": " + what);
  }

 private:
  bool Take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  Result<std::string> Field() {
    if (!Take('"')) {
      const size_t end = std::min(rest_.find_first_of(",\r\n"), rest_.size());
      const std::string_view field = rest_.substr(0, end);
      rest_.remove_prefix(end);
      const size_t first = field.find_first_not_of(" \t");
      if (first == std::string_view::npos) return std::string();
      return std::string(field.substr(first, field.find_last_not_of(" \t") - first + 1));
    }
    std::string field;
    while (true) {
      const size_t quote = rest_.find('"');
      if (quote == std::string_view::npos) return Wrong("a quote does not end");
      field += rest_.substr(0, quote);
      rest_.remove_prefix(quote + 1);
      if (!Take('"')) break;
      field += '"';
    }
    next_line_ += static_cast<size_t>(std::count(field.begin(), field.end(), '\n'));
    return field;
  }

  std::string_view rest_;
  size_t line_ = 0;
  size_t next_line_ = 1;
};

}  // namespace

Result<std::vector<RosterEntry>> ParseRoster(std::string_view text) {
  std::vector<RosterEntry> entries;
  std::set<std::string> seen;
  RowReader reader(text);
  while (!reader.AtEnd()) {
    ASSIGN_OR_RETURN(std::vector<std::string> row, reader.Next());
    if (row.size() == 1 && row[0].empty()) continue;
    if (reader.line() == 1 && row[0] == "user") continue;
    if (row.size() > kColumnsMax) return reader.Wrong("there are more columns than user,name,mail");
    if (row[0].empty()) return reader.Wrong("there is no user");
    if (!seen.insert(row[0]).second) {
      return reader.Wrong("user '" + Printable(row[0], 64) + "' is here twice");
    }
    if (entries.size() == kRosterRowsMax) {
      return reader.Wrong("a roster has at most " + std::to_string(kRosterRowsMax) + " users");
    }
    row.resize(kColumnsMax);
    entries.push_back({std::move(row[0]), std::move(row[1]), std::move(row[2])});
  }
  return entries;
}

}  // namespace strata::tools
