// The records of a catalog that a host has for itself, as OpenRocksRecordStore and the recovery of
// records (common/records/record_recovery.h) take them: the tables, what format 1 held, and the
// commands of imaged that help when a part is lost.
#pragma once

#include "common/records/record_store.h"

namespace strata::imaged {

records::RocksOptions OwnRecords();

}  // namespace strata::imaged
