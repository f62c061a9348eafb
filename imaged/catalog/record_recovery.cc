#include "imaged/catalog/record_recovery.h"

#include <cstdio>
#include <map>
#include <utility>

#include "common/file_io.h"
#include "imaged/catalog/record_store.h"
#include "imaged/catalog/rocks_tables.h"

namespace strata::imaged {
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

Result<RecoveredRecords> RebuildCatalogFrom(const RecordJournal& journal,
                                            const std::string& directory) {
  const std::string target = CatalogDirectory(directory);
  const std::string fresh = target + ".new";
  RETURN_IF_ERROR(RemoveTree(fresh));
  RecoveredRecords recovered;
  {
    ASSIGN_OR_RETURN(const auto tables, RocksTables::Open(fresh));
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

Result<RecoveredRecords> RebuildCatalog(const std::string& directory) {
  ASSIGN_OR_RETURN(const auto journal, RecordJournal::Open(JournalDirectory(directory)));
  return RebuildCatalogFrom(*journal, directory);
}

Result<RecoveredRecords> RebuildJournal(const std::string& directory) {
  const std::string target = JournalDirectory(directory);
  if (!PathExists(CatalogDirectory(directory) + "/CURRENT")) {
    return Error(Code::kNotFound, "there is no catalog in " + CatalogDirectory(directory));
  }
  ASSIGN_OR_RETURN(const auto tables, RocksTables::Open(CatalogDirectory(directory)));
  ASSIGN_OR_RETURN(const auto sequence, tables->Sequence());
  if (!sequence) {
    return Error(Code::kFailedPrecondition,
                 "the catalog is of before the journal: imaged makes one when it starts");
  }
  RecoveredRecords recovered;
  ASSIGN_OR_RETURN(const uint64_t salvaged,
                   RecordJournal::Salvage(target, *sequence, [&](const JournalEntry& entry) {
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
      target, recovered.sequence,
      [&](const RecordJournal::RecordSink& take) { return tables->ScanAll(take); }));
  return recovered;
}

Status CompareRecords(const std::string& directory,
                      const std::function<void(const std::string&)>& problem) {
  ASSIGN_OR_RETURN(const auto journal, RecordJournal::Open(JournalDirectory(directory)));
  ASSIGN_OR_RETURN(const auto tables, RocksTables::Open(CatalogDirectory(directory)));
  ASSIGN_OR_RETURN(const auto sequence, tables->Sequence());
  if (sequence != journal->last_sequence()) {
    problem("catalog: it has the changes up to " + std::to_string(sequence.value_or(0)) +
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
    problem("catalog: " + std::string(TableName(record.first)) + " " + record.second + " " + what +
            "; imaged rebuild-catalog makes it as the journal has it");
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

}  // namespace strata::imaged
