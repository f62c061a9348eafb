// What catalogs of format 1 held, as changes that make format 2 of it (docs/formats.md).
#pragma once

#include <vector>

#include "common/result.h"
#include "imaged/catalog/record_store.h"

namespace strata::imaged {

// Empty for an empty catalog. kCorrupt names the record.
Result<std::vector<RecordChange>> UpgradeFromFormat1(RecordStore& store);

}  // namespace strata::imaged
