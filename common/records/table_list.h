// The tables that a store was opened with. A store that is used with others is our own bug.
#pragma once

#include <cstddef>
#include <vector>

#include "common/records/record_store.h"

namespace strata::records {

// CHECKs that there are no two of one name, and none that a store has for itself.
void CheckTables(const std::vector<Table>& tables);

// Where `table` is among them. CHECKs that it is.
size_t IndexOf(const std::vector<Table>& tables, Table table);

}  // namespace strata::records
