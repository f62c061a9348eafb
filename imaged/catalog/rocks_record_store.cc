#include <mutex>

#include "common/file_io.h"
#include "common/log.h"
#include "imaged/catalog/record_recovery.h"
#include "imaged/catalog/record_store.h"
#include "imaged/catalog/rocks_tables.h"
#include "imaged/catalog/scope_revisions.h"

namespace strata::imaged {
namespace {

// A commit is durable with its entry in the journal; then RocksDB gets it, without any syncing.
class RocksRecordStore final : public RecordStore {
 public:
  RocksRecordStore(std::unique_ptr<RecordJournal> journal, std::unique_ptr<RocksTables> tables)
      : tables_(std::move(tables)), journal_(std::move(journal)) {}

  Result<std::optional<std::string>> Get(Table table, const std::string& key) override {
    return tables_->Get(table, key);
  }

  Status Scan(Table table, const std::string& prefix, const Visitor& visit) override {
    return tables_->Scan(table, prefix, visit);
  }

  ScopeMark Mark(const std::string& scope) override {
    const std::lock_guard lock(mutex_);
    return scopes_.Mark(scope);
  }

  Status Commit(const std::vector<RecordExpectation>& expected,
                const std::vector<RecordChange>& changes,
                const std::vector<ScopeMark>& scopes) override {
    const std::lock_guard lock(mutex_);
    if (broken_) return *broken_;
    RETURN_IF_ERROR(scopes_.Check(scopes));
    for (const RecordExpectation& expectation : expected) {
      ASSIGN_OR_RETURN(const auto found, Get(expectation.table, expectation.key));
      if (found != expectation.value) {
        return Error(Code::kFailedPrecondition,
                     "catalog: " + expectation.key + " changed meanwhile: try again");
      }
    }
    RETURN_IF_ERROR(journal_->Append(changes));
    if (Status applied = tables_->Apply(journal_->last_sequence(), changes); !applied.ok()) {
      // The journal has it, so the next start will show it; nothing may build on the state before.
      broken_ = applied.error().Wrap("the catalog is behind its journal: start imaged again");
      return *broken_;
    }
    if (listener_) listener_(changes);
    scopes_.MoveOn(scopes);
    if (journal_->WantsSnapshot()) Compact();
    return Ok();
  }

  Status Follow(Listener listener) override {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < kTableCount; ++i) {
      const Table table = static_cast<Table>(i);
      RETURN_IF_ERROR(tables_->Scan(table, "", [&](const auto& key, const auto& value) -> Status {
        listener({{table, key, value}});
        return Ok();
      }));
    }
    listener_ = std::move(listener);
    return Ok();
  }

  void Unfollow() override {
    const std::lock_guard lock(mutex_);
    listener_ = {};
  }

 private:
  // The commit that led here is done, whatever becomes of this.
  void Compact() {
    // Logs go only when RocksDB needs them no more.
    Status status = tables_->Flush();
    if (status.ok()) {
      status = journal_->Compact([this](const auto& take) { return tables_->ScanAll(take); });
    }
    if (!status.ok()) LOG_ERROR("the record journal grows: " + status.error().message());
  }

  const std::unique_ptr<RocksTables> tables_;
  std::mutex mutex_;  // Guards the rest, and orders commits with their expectations.
  const std::unique_ptr<RecordJournal> journal_;
  Listener listener_;
  ScopeRevisions scopes_;
  std::optional<Error> broken_;
};

// A catalog of before the journal gets one. A crash in between leaves a journal without changes,
// and the catalog as it was.
Result<std::unique_ptr<RecordJournal>> TakeOver(RocksTables* tables,
                                                std::unique_ptr<RecordJournal> journal,
                                                const std::string& directory) {
  if (journal != nullptr && journal->last_sequence() > 0) {
    return Error(Code::kCorrupt, "the catalog " + CatalogDirectory(directory) +
                                     " is older than its journal: imaged rebuild-catalog makes it "
                                     "anew");
  }
  RETURN_IF_ERROR(tables->UpgradeToFormat2());
  ASSIGN_OR_RETURN(journal, RecordJournal::Create(JournalDirectory(directory), 0,
                                                  [&](const RecordJournal::RecordSink& take) {
                                                    return tables->ScanAll(take);
                                                  }));
  RETURN_IF_ERROR(tables->Apply(0, {}));
  RETURN_IF_ERROR(tables->Flush());
  return journal;
}

// Gives RocksDB the changes that it had not made durable when it ended.
Status CatchUp(RocksTables* tables, uint64_t sequence, const RecordJournal& journal,
               const std::string& directory) {
  if (sequence > journal.last_sequence()) {
    return Error(Code::kCorrupt,
                 "the record journal " + JournalDirectory(directory) + " ends with change " +
                     std::to_string(journal.last_sequence()) + ", but the catalog has change " +
                     std::to_string(sequence) +
                     ": put the journal back from a copy, or go on with what the catalog has: "
                     "imaged rebuild-journal");
  }
  if (sequence < journal.snapshot_sequence()) {
    return Error(Code::kCorrupt, "the catalog " + CatalogDirectory(directory) +
                                     " is older than its journal: imaged rebuild-catalog makes it "
                                     "anew");
  }
  return journal.ReadChanges(sequence, [&](const JournalEntry& entry) {
    return tables->Apply(entry.sequence, entry.changes);
  });
}

}  // namespace

std::string_view TableName(Table table) {
  switch (table) {
    case Table::kImages:
      return "images";
    case Table::kTags:
      return "tags";
    case Table::kClasses:
      return "classes";
    case Table::kQuotas:
      return "quotas";
    case Table::kLeases:
      return "leases";
  }
  return "";
}

std::string CatalogDirectory(const std::string& directory) { return directory + "/catalog"; }
std::string JournalDirectory(const std::string& directory) { return directory + "/records"; }

Result<bool> HasRecords(const std::string& directory) {
  if (PathExists(CatalogDirectory(directory) + "/CURRENT")) return true;
  return RecordJournal::Exists(JournalDirectory(directory));
}

Result<std::unique_ptr<RecordStore>> OpenRocksRecordStore(const std::string& directory) {
  const std::string catalog = CatalogDirectory(directory);
  std::unique_ptr<RecordJournal> journal;
  ASSIGN_OR_RETURN(const bool has_journal, RecordJournal::Exists(JournalDirectory(directory)));
  if (has_journal) {
    auto opened = RecordJournal::Open(JournalDirectory(directory));
    if (!opened.ok() && opened.error().code() == Code::kCorrupt) {
      return Error(Code::kCorrupt, opened.error().message() +
                                       ": put the journal back from a copy, or go on with what "
                                       "the catalog has: imaged rebuild-journal");
    }
    if (!opened.ok()) return opened.error();
    journal = std::move(*opened);
    if (!PathExists(catalog + "/CURRENT")) {
      LOG_WARNING("the catalog " + catalog + " is gone: made anew from its journal");
      RETURN_IF_ERROR(RebuildCatalogFrom(*journal, directory));
    }
  }
  ASSIGN_OR_RETURN(auto tables, RocksTables::Open(catalog));
  ASSIGN_OR_RETURN(const auto sequence, tables->Sequence());
  if (!sequence) {
    ASSIGN_OR_RETURN(journal, TakeOver(tables.get(), std::move(journal), directory));
  } else if (journal == nullptr) {
    return Error(Code::kCorrupt, "the record journal " + JournalDirectory(directory) +
                                     " is gone: put it back from a copy, or go on with what the "
                                     "catalog has: imaged rebuild-journal");
  } else {
    RETURN_IF_ERROR(CatchUp(tables.get(), *sequence, *journal, directory));
  }
  return std::unique_ptr<RecordStore>(
      std::make_unique<RocksRecordStore>(std::move(journal), std::move(tables)));
}

}  // namespace strata::imaged
