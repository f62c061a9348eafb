// A table of text columns, as wide as its content. Cells are made printable.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace strata::tools {

class Table {
 public:
  // A header that starts with '>' aligns its column to the right; the '>' is not shown.
  explicit Table(std::vector<std::string> header);
  // REQUIRES: as many cells as the header has.
  void Add(std::vector<std::string> row);
  // Nothing but the header when there are no rows.
  void Print(std::ostream& out) const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<bool> align_right_;
};

}  // namespace strata::tools
