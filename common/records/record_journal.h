// RecordJournal: the write-ahead log of records, and all that is needed to make their index
// anew (docs/formats.md, "Record journal"; docs/crash-safety.md).
//
//   <directory>/snapshot.<N>   all records as they were after change N
//   <directory>/log.<N>        the changes from number N on
//
// Every change has a number; the first is 1. Append is durable when it returns. A log that ends in
// the middle of an entry lost what was never acknowledged: it is cut there when it is opened. Any
// other damage is kCorrupt and is left as it is.
//
// Not thread-safe: RecordStore orders its callers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/records/journal_file.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::records {

class RecordJournal {
 public:
  using EntryVisitor = std::function<Status(JournalEntry)>;
  // Tells all records that there are to `take`.
  using RecordSink = std::function<Status(Table, const std::string& key, const std::string& value)>;
  using RecordSource = std::function<Status(const RecordSink& take)>;

  // Whether there is anything of a journal in `directory`.
  static Result<bool> Exists(const std::string& directory);
  // kNotFound when Exists is false; kCorrupt names the file; kUnsupported when it has other tables.
  static Result<std::unique_ptr<RecordJournal>> Open(const std::string& directory,
                                                     std::vector<Table> tables);
  // A new journal that starts with these records, as of change `sequence`. What is in `directory`
  // already is removed when the new one is durable.
  static Result<std::unique_ptr<RecordJournal>> Create(const std::string& directory,
                                                       std::vector<Table> tables, uint64_t sequence,
                                                       const RecordSource& records);
  // Changes after number `after`, in their order, as far as they can be read: for a journal that
  // Open refuses. Answers how many.
  static Result<uint64_t> Salvage(const std::string& directory, const std::vector<Table>& tables,
                                  uint64_t after, const EntryVisitor& visit);

  uint64_t snapshot_sequence() const { return snapshot_; }
  uint64_t last_sequence() const { return last_; }

  // The records of the snapshot, in entries that all have its number.
  Status ReadSnapshot(const EntryVisitor& visit) const;
  // The changes after number `after`, in their order. REQUIRES: after >= snapshot_sequence().
  Status ReadChanges(uint64_t after, const EntryVisitor& visit) const;

  // Change number last_sequence() + 1. After an error that leaves it open what is on disk, nothing
  // more is taken (kInternal): the next Open finds out.
  Status Append(const std::vector<RecordChange>& changes);

  // Whether the logs have grown so long that Compact is worth it.
  bool WantsSnapshot() const { return log_bytes_ > std::max(snapshot_bytes_, log_bytes_min_); }
  // Starts anew with a snapshot of `records`, which are those after last_sequence().
  Status Compact(const RecordSource& records);
  // How long logs are let grow at least; tests make it small.
  void SetLogBytesMin(uint64_t bytes) { log_bytes_min_ = bytes; }

 private:
  RecordJournal(std::string directory, std::vector<Table> tables)
      : directory_(std::move(directory)), tables_(std::move(tables)) {}
  Result<JournalFileReader> OpenFile(const std::string& path) const {
    return JournalFileReader::Open(path, tables_);
  }
  std::string SnapshotPath(uint64_t sequence) const;
  std::string LogPath(uint64_t sequence) const;
  Status ReadLogs();
  Status StartLog();
  // Zeros for many entries at once: a sync is several times faster where the file neither grows nor
  // gets blocks.
  void Reserve(uint64_t bytes);
  Status WriteSnapshot(uint64_t sequence, const RecordSource& records);
  // Removes what the newest snapshot replaces.
  Status RemoveOld();

  const std::string directory_;
  const std::vector<Table> tables_;
  uint64_t snapshot_ = 0;
  uint64_t snapshot_bytes_ = 0;
  uint64_t last_ = 0;
  std::vector<uint64_t> logs_;  // Numbers of the files; the last one is written to.
  UniqueFd log_;
  uint64_t log_end_ = 0;
  uint64_t reserved_ = 0;  // Zeros from log_end_ up to here.
  uint64_t log_bytes_ = 0;
  uint64_t log_bytes_min_ = 16u << 20;
  std::optional<Error> broken_;
};

}  // namespace strata::records
