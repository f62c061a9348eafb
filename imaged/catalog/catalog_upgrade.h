// What catalogs of format 1 held, as changes that make format 2 of it (docs/formats.md).
#pragma once

#include <vector>

#include "common/records/record_store.h"
#include "common/result.h"

namespace strata::imaged {

// An upgrade of RocksOptions. Empty for an empty catalog. kCorrupt names the record.
Result<std::vector<records::RecordChange>> UpgradeFromFormat1(const records::TableScan& scan);

}  // namespace strata::imaged
