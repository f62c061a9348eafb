#include "common/records/record_recovery.h"

#include <cstdio>
#include <map>
#include <utility>

#include "common/file_io.h"
#include "common/records/record_store.h"
#include "common/records/rocks_tables.h"

namespace strata::records {
namespace {

Result<uint64_t> Count(RocksTables& tables) {
  uint64_t count = 0;
  RETURN_IF_ERROR(tables.ScanAll([&](Table, const std::string&, const std::string&) {
    ++count;
    return Ok();
  }));
  return count;
}

// Puts `fresh` in the place of `directory`, durably.
Status Replace(const std::string& fresh, const std::string& directory) {
  if (::rename(fresh.c_str(), directory.c_str()) != 0) return Errno("rename to " + directory);
  return FsyncDirectory(directory.substr(0, directory.rfind('/')));
}

}  // namespace

Result<RecoveredRecords> RebuildIndexFrom(const RecordJournal& journal,
                                          const std::string& directory,
                                          const RocksOptions& options) {
  const std::string target = IndexDirectory(directory);
  const std::string fresh = target + ".new";
  RETURN_IF_ERROR(RemoveTree(fresh));
  RecoveredRecords recovered;
  {
    ASSIGN_OR_RETURN(const auto tables, RocksTables::Open(fresh, options));
    RETURN_IF_ERROR(tables->Apply(journal.snapshot_sequence(), {}));
    const auto apply = [&](const JournalEntry& entry) {
      return tables->Apply(entry.sequence, entry.changes);
    };
    RETURN_IF_ERROR(journal.ReadSnapshot(apply));
    RETURN_IF_ERROR(journal.ReadChanges(journal.snapshot_sequence(), apply));
    RETURN_IF_ERROR(tables->Flush());
    ASSIGN_OR_RETURN(recovered.records, Count(*tables));
  }
  recovered.sequence = journal.last_sequence();
  RETURN_IF_ERROR(RemoveTree(target));
  RETURN_IF_ERROR(Replace(fresh, target));
  return recovered;
}

Result<RecoveredRecords> RebuildIndex(const std::string& directory, const RocksOptions& options) {
  ASSIGN_OR_RETURN(const auto journal,
                   RecordJournal::Open(JournalDirectory(directory), options.tables));
  return RebuildIndexFrom(*journal, directory, options);
}

Result<RecoveredRecords> RebuildJournal(const std::string& directory, const RocksOptions& options) {
  const std::string target = JournalDirectory(directory);
  if (!PathExists(IndexDirectory(directory) + "/CURRENT")) {
    return Error(Code::kNotFound, "there is no index of records in " + IndexDirectory(directory));
  }
  ASSIGN_OR_RETURN(const auto tables, RocksTables::Open(IndexDirectory(directory), options));
  ASSIGN_OR_RETURN(const auto sequence, tables->Sequence());
  if (!sequence) {
    return Error(Code::kFailedPrecondition,
                 "the index of records is of before the journal: the next start makes one");
  }
  RecoveredRecords recovered;
  ASSIGN_OR_RETURN(
      const uint64_t salvaged,
      RecordJournal::Salvage(target, options.tables, *sequence, [&](const JournalEntry& entry) {
        return tables->Apply(entry.sequence, entry.changes);
      }));
  RETURN_IF_ERROR(tables->Flush());
  ASSIGN_OR_RETURN(recovered.records, Count(*tables));
  recovered.sequence = *sequence + salvaged;
  if (PathExists(target)) {
    RETURN_IF_ERROR(RemoveTree(target + ".damaged"));
    RETURN_IF_ERROR(Replace(target, target + ".damaged"));
  }
  RETURN_IF_ERROR(RecordJournal::Create(
      target, options.tables, recovered.sequence,
      [&](const RecordJournal::RecordSink& take) { return tables->ScanAll(take); }));
  return recovered;
}

Status CompareRecords(const std::string& directory, const RocksOptions& options,
                      const std::function<void(const std::string&)>& problem) {
  ASSIGN_OR_RETURN(const auto journal,
                   RecordJournal::Open(JournalDirectory(directory), options.tables));
  ASSIGN_OR_RETURN(const auto tables, RocksTables::Open(IndexDirectory(directory), options));
  ASSIGN_OR_RETURN(const auto sequence, tables->Sequence());
  if (sequence != journal->last_sequence()) {
    problem("index of records: it has the changes up to " + std::to_string(sequence.value_or(0)) +
            ", its journal those up to " + std::to_string(journal->last_sequence()));
    return Ok();
  }
  std::map<std::pair<Table, std::string>, std::string> expected;
  const auto apply = [&](JournalEntry entry) -> Status {
    for (RecordChange& change : entry.changes) {
      if (change.value) {
        expected[{change.table, change.key}] = std::move(*change.value);
      } else {
        expected.erase({change.table, change.key});
      }
    }
    return Ok();
  };
  RETURN_IF_ERROR(journal->ReadSnapshot(apply));
  RETURN_IF_ERROR(journal->ReadChanges(journal->snapshot_sequence(), apply));
  const auto report = [&](const std::pair<Table, std::string>& record, const std::string& what) {
    problem("index of records: " + std::string(record.first.name) + " " + record.second + " " +
            what + "; " + options.index_remedy);
  };
  RETURN_IF_ERROR(
      tables->ScanAll([&](Table table, const std::string& key, const std::string& value) {
        const auto it = expected.find({table, key});
        if (it == expected.end()) {
          report({table, key}, "is not in the journal");
          return Ok();
        }
        if (it->second != value) report(it->first, "differs from the journal");
        expected.erase(it);
        return Ok();
      }));
  for (const auto& [record, value] : expected) report(record, "is only in the journal");
  return Ok();
}

}  // namespace strata::records
