#include <map>
#include <mutex>

#include "common/records/record_store.h"
#include "common/records/scope_revisions.h"
#include "common/records/table_list.h"

namespace strata::records {
namespace {

class MemoryRecordStore final : public RecordStore {
 public:
  explicit MemoryRecordStore(std::vector<Table> tables)
      : tables_(std::move(tables)), records_(tables_.size()) {
    CheckTables(tables_);
  }

  Result<std::optional<std::string>> Get(Table table, const std::string& key) override {
    const std::lock_guard lock(mutex_);
    return Find(table, key);
  }

  Status Scan(Table table, const std::string& prefix, const Visitor& visit) override {
    std::map<std::string, std::string> copy;
    {
      const std::lock_guard lock(mutex_);
      copy = records_[IndexOf(tables_, table)];
    }
    for (auto it = copy.lower_bound(prefix); it != copy.end() && it->first.starts_with(prefix);
         ++it) {
      RETURN_IF_ERROR(visit(it->first, it->second));
    }
    return Ok();
  }

  ScopeMark Mark(const std::string& scope) override {
    const std::lock_guard lock(mutex_);
    return scopes_.Mark(scope);
  }

  Status Commit(const std::vector<RecordExpectation>& expected,
                const std::vector<RecordChange>& changes,
                const std::vector<ScopeMark>& scopes) override {
    const std::lock_guard lock(mutex_);
    RETURN_IF_ERROR(scopes_.Check(scopes));
    for (const RecordExpectation& expectation : expected) {
      if (Find(expectation.table, expectation.key) != expectation.value) {
        return Error(Code::kFailedPrecondition,
                     "the record " + expectation.key + " changed meanwhile: try again");
      }
    }
    for (const RecordChange& change : changes) {
      auto& records = records_[IndexOf(tables_, change.table)];
      if (change.value) {
        records[change.key] = *change.value;
      } else {
        records.erase(change.key);
      }
    }
    if (listener_) listener_(changes);
    scopes_.MoveOn(scopes);
    return Ok();
  }

  Status Follow(Listener listener) override {
    const std::lock_guard lock(mutex_);
    listener_ = std::move(listener);
    for (size_t i = 0; i < tables_.size(); ++i) {
      for (const auto& [key, value] : records_[i]) listener_({{tables_[i], key, value}});
    }
    return Ok();
  }

  void Unfollow() override {
    const std::lock_guard lock(mutex_);
    listener_ = {};
  }

 private:
  std::optional<std::string> Find(Table table, const std::string& key) const {
    const auto& records = records_[IndexOf(tables_, table)];
    const auto it = records.find(key);
    return it == records.end() ? std::nullopt : std::optional<std::string>(it->second);
  }

  const std::vector<Table> tables_;
  std::mutex mutex_;                                         // Guards the rest.
  std::vector<std::map<std::string, std::string>> records_;  // Of tables_.
  Listener listener_;
  ScopeRevisions scopes_;
};

}  // namespace

std::unique_ptr<RecordStore> MakeMemoryRecordStore(std::vector<Table> tables) {
  return std::make_unique<MemoryRecordStore>(std::move(tables));
}

}  // namespace strata::records
