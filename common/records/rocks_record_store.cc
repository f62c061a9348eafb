#include <mutex>

#include "common/file_io.h"
#include "common/log.h"
#include "common/records/record_recovery.h"
#include "common/records/record_store.h"
#include "common/records/rocks_tables.h"
#include "common/records/scope_revisions.h"
#include "common/records/table_list.h"

namespace strata::records {
namespace {

// A commit is durable with its entry in the journal; then RocksDB gets it, without any syncing.
class RocksRecordStore final : public RecordStore {
 public:
  RocksRecordStore(std::vector<Table> tables, std::unique_ptr<RecordJournal> journal,
                   std::unique_ptr<RocksTables> index)
      : tables_(std::move(tables)), index_(std::move(index)), journal_(std::move(journal)) {}

  Result<std::optional<std::string>> Get(Table table, const std::string& key) override {
    return index_->Get(table, key);
  }

  Status Scan(Table table, const std::string& prefix, const Visitor& visit) override {
    return index_->Scan(table, prefix, visit);
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
                     "the record " + expectation.key + " changed meanwhile: try again");
      }
    }
    // Before the journal has them: it could not be read again.
    for (const RecordChange& change : changes) (void)IndexOf(tables_, change.table);
    RETURN_IF_ERROR(journal_->Append(changes));
    if (Status applied = index_->Apply(journal_->last_sequence(), changes); !applied.ok()) {
      // The journal has it, so the next start will show it; nothing may build on the state before.
      broken_ = applied.error().Wrap(
          "the index of records is behind its journal: start this program again");
      return *broken_;
    }
    if (listener_) listener_(changes);
    scopes_.MoveOn(scopes);
    if (journal_->WantsSnapshot()) Compact();
    return Ok();
  }

  Status Follow(Listener listener) override {
    const std::lock_guard lock(mutex_);
    for (const Table table : tables_) {
      RETURN_IF_ERROR(index_->Scan(table, "", [&](const auto& key, const auto& value) -> Status {
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
    Status status = index_->Flush();
    if (status.ok()) {
      status = journal_->Compact([this](const auto& take) { return index_->ScanAll(take); });
    }
    if (!status.ok()) LOG_ERROR("the record journal grows: " + status.error().message());
  }

  const std::vector<Table> tables_;
  const std::unique_ptr<RocksTables> index_;
  std::mutex mutex_;  // Guards the rest, and orders commits with their expectations.
  const std::unique_ptr<RecordJournal> journal_;
  Listener listener_;
  ScopeRevisions scopes_;
  std::optional<Error> broken_;
};

Error OlderIndex(const std::string& directory, const RocksOptions& options) {
  return Error(Code::kCorrupt, "the index of records " + IndexDirectory(directory) +
                                   " is older than its journal: " + options.index_remedy);
}

// An index of before the journal gets one. A crash in between leaves a journal without changes,
// and the index as it was.
Result<std::unique_ptr<RecordJournal>> TakeOver(RocksTables* tables,
                                                std::unique_ptr<RecordJournal> journal,
                                                const std::string& directory,
                                                const RocksOptions& options) {
  if (journal != nullptr && journal->last_sequence() > 0) return OlderIndex(directory, options);
  RETURN_IF_ERROR(tables->UpgradeToFormat2());
  ASSIGN_OR_RETURN(journal, RecordJournal::Create(JournalDirectory(directory), options.tables, 0,
                                                  [&](const RecordJournal::RecordSink& take) {
                                                    return tables->ScanAll(take);
                                                  }));
  RETURN_IF_ERROR(tables->Apply(0, {}));
  RETURN_IF_ERROR(tables->Flush());
  return journal;
}

// Gives RocksDB the changes that it had not made durable when it ended.
Status CatchUp(RocksTables* tables, uint64_t sequence, const RecordJournal& journal,
               const std::string& directory, const RocksOptions& options) {
  if (sequence > journal.last_sequence()) {
    return Error(Code::kCorrupt,
                 "the record journal " + JournalDirectory(directory) + " ends with change " +
                     std::to_string(journal.last_sequence()) + ", but its index has change " +
                     std::to_string(sequence) + ": " + options.journal_remedy);
  }
  if (sequence < journal.snapshot_sequence()) return OlderIndex(directory, options);
  return journal.ReadChanges(sequence, [&](const JournalEntry& entry) {
    return tables->Apply(entry.sequence, entry.changes);
  });
}

}  // namespace

std::string IndexDirectory(const std::string& directory) { return directory + "/catalog"; }
std::string JournalDirectory(const std::string& directory) { return directory + "/records"; }

Result<bool> HasRecords(const std::string& directory) {
  if (PathExists(IndexDirectory(directory) + "/CURRENT")) return true;
  return RecordJournal::Exists(JournalDirectory(directory));
}

Result<std::unique_ptr<RecordStore>> OpenRocksRecordStore(const std::string& directory,
                                                          const RocksOptions& options) {
  CheckTables(options.tables);
  const std::string index = IndexDirectory(directory);
  std::unique_ptr<RecordJournal> journal;
  ASSIGN_OR_RETURN(const bool has_journal, RecordJournal::Exists(JournalDirectory(directory)));
  if (has_journal) {
    auto opened = RecordJournal::Open(JournalDirectory(directory), options.tables);
    if (!opened.ok() && opened.error().code() == Code::kCorrupt) {
      return Error(Code::kCorrupt, opened.error().message() + ": " + options.journal_remedy);
    }
    if (!opened.ok()) return opened.error();
    journal = std::move(*opened);
    if (!PathExists(index + "/CURRENT")) {
      LOG_WARNING("the index of records " + index + " is gone: made anew from its journal");
      RETURN_IF_ERROR(RebuildIndexFrom(*journal, directory, options));
    }
  }
  ASSIGN_OR_RETURN(auto tables, RocksTables::Open(index, options));
  ASSIGN_OR_RETURN(const auto sequence, tables->Sequence());
  if (!sequence) {
    ASSIGN_OR_RETURN(journal, TakeOver(tables.get(), std::move(journal), directory, options));
  } else if (journal == nullptr) {
    return Error(Code::kCorrupt, "the record journal " + JournalDirectory(directory) +
                                     " is gone: " + options.journal_remedy);
  } else {
    RETURN_IF_ERROR(CatchUp(tables.get(), *sequence, *journal, directory, options));
  }
  return std::unique_ptr<RecordStore>(
      std::make_unique<RocksRecordStore>(options.tables, std::move(journal), std::move(tables)));
}

}  // namespace strata::records
