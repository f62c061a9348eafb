// What to do when a part of the records is lost or damaged: each of RocksDB (catalog/) and journal
// (records/) is made anew from the other. For a `directory` as OpenRocksRecordStore takes it, with
// the same options. REQUIRES: nobody has it open.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/records/record_journal.h"
#include "common/result.h"

namespace strata::records {

struct RecoveredRecords {
  uint64_t records = 0;
  uint64_t sequence = 0;  // Of the last change that is in them.
};

// Makes RocksDB anew from the journal alone; what was there goes when the new one is durable.
// kNotFound without a journal, kCorrupt when it is damaged: then nothing is changed.
Result<RecoveredRecords> RebuildIndex(const std::string& directory, const RocksOptions& options);
// The same for a journal that is open.
Result<RecoveredRecords> RebuildIndexFrom(const RecordJournal& journal,
                                          const std::string& directory,
                                          const RocksOptions& options);

// Makes the journal anew from RocksDB, and from the changes after that which can be read up to the
// first damage. What was there is kept in records.damaged. Changes behind the damage that RocksDB
// does not have are lost. kNotFound without RocksDB.
Result<RecoveredRecords> RebuildJournal(const std::string& directory, const RocksOptions& options);

// Compares every record of RocksDB with what the whole journal makes: "" or what differs.
// REQUIRES: both were brought together (opened and closed) before.
Status CompareRecords(const std::string& directory, const RocksOptions& options,
                      const std::function<void(const std::string&)>& problem);

}  // namespace strata::records
