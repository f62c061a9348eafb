// RocksTables: the tables of records in RocksDB, one column family per table. An index of what the
// record journal holds: RocksDB writes no log of its own (disableWAL), and says up to which change
// of the journal it has everything. Families are flushed together (atomic_flush), so what it has
// is always the records as they were after that change.
//
// Thread-safe, as RocksDB is. Errors name the remedy where there is one.
#pragma once

#include <rocksdb/db.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/records/record_journal.h"
#include "common/records/record_store.h"
#include "common/records/table_list.h"
#include "common/result.h"

namespace strata::records {

class RocksTables {
 public:
  // Opens or creates RocksDB in `directory`. kCorrupt.
  static Result<std::unique_ptr<RocksTables>> Open(const std::string& directory,
                                                   const RocksOptions& options);
  ~RocksTables();

  Result<std::optional<std::string>> Get(Table table, const std::string& key);
  Status Scan(Table table, const std::string& prefix, const RecordStore::Visitor& visit);
  // All records of all tables, as of one moment when nobody writes.
  Status ScanAll(const RecordJournal::RecordSink& take);

  // The number of the last change that is in here; nullopt when none of the journal is: a new
  // index, or one of format 1 or 2.
  Result<std::optional<uint64_t>> Sequence();
  // Change number `sequence`. Durable with the next Flush.
  Status Apply(uint64_t sequence, const std::vector<RecordChange>& changes);
  Status Flush();
  // Brings an index of format 1 to format 2, durably; leaves others alone.
  Status UpgradeToFormat2();

 private:
  RocksTables(const RocksOptions& options, std::unique_ptr<rocksdb::DB> db,
              std::vector<rocksdb::ColumnFamilyHandle*> families)
      : options_(options), db_(std::move(db)), families_(std::move(families)) {}
  // [0] is RocksDB's own default family, which holds format and sequence.
  rocksdb::ColumnFamilyHandle* FamilyOf(Table table) const {
    return families_[1 + IndexOf(options_.tables, table)];
  }
  Result<std::optional<std::string>> Read(rocksdb::ColumnFamilyHandle* family,
                                          const std::string& key);
  Result<rocksdb::WriteBatch> BatchOf(const std::vector<RecordChange>& changes) const;

  const RocksOptions options_;
  const std::unique_ptr<rocksdb::DB> db_;
  const std::vector<rocksdb::ColumnFamilyHandle*> families_;
};

}  // namespace strata::records
