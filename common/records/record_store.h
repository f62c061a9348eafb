// RecordStore: tables of small records that change together or not at all. What a daemon's state
// rests on, and nothing of its meaning: RocksDB on one host, etcd for several
// (common/records/etcd), memory in tests.
//
// Every Commit is durable when it returns Ok. Expectations make a change conditional, so that two
// writers who read the same record cannot both win. What a change rests on beyond single records
// (that nothing points to one any more, that a sum of several stays below a limit) is a scope:
// whoever decides something from the records of a scope marks it first, and commits against the
// mark.
//
// Thread-safe. Listeners hear of changes in the order in which they became durable.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace strata::records {

// A table is its name: on disk, in etcd and when compared. Who owns one declares it as a constant,
// `inline constexpr records::Table kThings{"things"}`, because the characters must outlive every
// use. Names have no '/' in them.
struct Table {
  std::string_view name;
  friend constexpr auto operator<=>(const Table&, const Table&) = default;
};

struct RecordChange {
  Table table;
  std::string key;
  std::optional<std::string> value;  // Absent: the record is deleted; deleting none is fine.
};

struct RecordExpectation {
  Table table;
  std::string key;
  std::optional<std::string> value;  // Absent: there is no such record.
};

// A scope that a commit moves on. The commit fails when somebody else has moved it on since the
// mark; without a mark it is moved on whatever it is.
struct ScopeMark {
  std::string scope;
  std::optional<int64_t> revision;
};

// A store is opened with the tables that it holds. REQUIRES of every call: a table is one of them.
class RecordStore {
 public:
  using Visitor = std::function<Status(const std::string& key, const std::string& value)>;
  using Listener = std::function<void(const std::vector<RecordChange>&)>;

  virtual ~RecordStore() = default;

  // nullopt when there is none.
  virtual Result<std::optional<std::string>> Get(Table table, const std::string& key) = 0;
  // The records whose keys start with `prefix`, in byte order, as of one moment, until `visit`
  // answers an error.
  virtual Status Scan(Table table, const std::string& prefix, const Visitor& visit) = 0;
  // The scope as it is now. What is read and heard afterwards is at least as new.
  virtual ScopeMark Mark(const std::string& scope) = 0;
  // All changes or none. kFailedPrecondition when an expectation or a mark does not hold; then what
  // changed meanwhile can be read. kUnavailable: the store does not answer, and the message says
  // whether the change may have been made.
  virtual Status Commit(const std::vector<RecordExpectation>& expected,
                        const std::vector<RecordChange>& changes,
                        const std::vector<ScopeMark>& scopes = {}) = 0;
  // Calls `listener` with all records that there are, and then with every change: after it is
  // durable, and before Commit returns. One listener; it must not call this store.
  virtual Status Follow(Listener listener) = 0;
  // The listener is not called any more when this returns.
  virtual void Unfollow() = 0;
  // Whether reads see what others write; otherwise why they may be old.
  virtual Status Health() const { return Ok(); }

  Status Put(Table table, const std::string& key, std::string value) {
    return Commit({}, {{table, key, std::move(value)}});
  }
  Status Delete(Table table, const std::string& key) {
    return Commit({}, {{table, key, std::nullopt}});
  }
};

// Visits all records of a table.
using TableScan = std::function<Status(Table, const RecordStore::Visitor&)>;

// What a store in RocksDB holds, and how its owner helps when a part of it is lost.
struct RocksOptions {
  // Snapshots have them in this order, and Follow tells them so.
  std::vector<Table> tables;
  // Remedies, as the ends of errors. For an index that is damaged or too old: "COMMAND makes it
  // anew from its journal", where the command calls RebuildIndex (record_recovery.h). For a journal
  // that is damaged or gone: to put it back from a copy, or the command that calls RebuildJournal.
  std::string index_remedy;
  std::string journal_remedy;
  // The changes that make today's records of those in RocksDB that say no format (format 1,
  // docs/formats.md), which may be none. Absent: the owner never wrote such.
  std::function<Result<std::vector<RecordChange>>(const TableScan&)> upgrade;
};

// Below `directory`: records/, the journal in which every Commit is durable, and catalog/, RocksDB,
// an index of it (docs/formats.md, "Record journal"). RocksDB is brought up to the journal, and
// made anew when it is gone; an index without a journal, of format 1 or 2, gets one. kUnsupported
// for a later format; kCorrupt names what is damaged and the remedy (record_recovery.h).
Result<std::unique_ptr<RecordStore>> OpenRocksRecordStore(const std::string& directory,
                                                          const RocksOptions& options);
// The two of them.
std::string IndexDirectory(const std::string& directory);
std::string JournalDirectory(const std::string& directory);
// Whether there is either.
Result<bool> HasRecords(const std::string& directory);

// Nothing is durable. For tests.
std::unique_ptr<RecordStore> MakeMemoryRecordStore(std::vector<Table> tables);

}  // namespace strata::records
