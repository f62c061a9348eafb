#include "common/records/table_list.h"

#include <algorithm>
#include <set>

#include "common/log.h"

namespace strata::records {
namespace {

// RocksDB's own column family, and what etcd has beside tables (docs/cluster-catalog.md).
constexpr std::string_view kReserved[] = {"", "default", "id", "scopes", "writers"};

}  // namespace

void CheckTables(const std::vector<Table>& tables) {
  std::set<Table> seen;
  for (const Table table : tables) {
    CHECK(seen.insert(table).second);
    CHECK(table.name.find('/') == std::string_view::npos);
    CHECK(std::ranges::find(kReserved, table.name) == std::end(kReserved));
  }
}

size_t IndexOf(const std::vector<Table>& tables, Table table) {
  const auto it = std::ranges::find(tables, table);
  CHECK(it != tables.end());
  return static_cast<size_t>(it - tables.begin());
}

}  // namespace strata::records
