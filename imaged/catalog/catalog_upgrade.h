// What catalogs of format 1 held, as changes that make format 2 of it (docs/formats.md).
#pragma once

#include <functional>
#include <vector>

#include "common/result.h"
#include "imaged/catalog/record_store.h"

namespace strata::imaged {

// Visits all records of a table.
using TableScan = std::function<Status(Table, const RecordStore::Visitor&)>;

// Empty for an empty catalog. kCorrupt names the record.
Result<std::vector<RecordChange>> UpgradeFromFormat1(const TableScan& scan);

}  // namespace strata::imaged
