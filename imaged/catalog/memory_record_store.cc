#include <array>
#include <map>
#include <mutex>

#include "imaged/catalog/record_store.h"
#include "imaged/catalog/scope_revisions.h"

namespace strata::imaged {
namespace {

class MemoryRecordStore final : public RecordStore {
 public:
  Result<std::optional<std::string>> Get(Table table, const std::string& key) override {
    const std::lock_guard lock(mutex_);
    return Find(table, key);
  }

  Status Scan(Table table, const std::string& prefix, const Visitor& visit) override {
    std::map<std::string, std::string> copy;
    {
      const std::lock_guard lock(mutex_);
      copy = tables_[static_cast<size_t>(table)];
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
                     "catalog: " + expectation.key + " changed meanwhile: try again");
      }
    }
    for (const RecordChange& change : changes) {
      auto& table = tables_[static_cast<size_t>(change.table)];
      if (change.value) {
        table[change.key] = *change.value;
      } else {
        table.erase(change.key);
      }
    }
    if (listener_) listener_(changes);
    scopes_.MoveOn(scopes);
    return Ok();
  }

  Status Follow(Listener listener) override {
    const std::lock_guard lock(mutex_);
    listener_ = std::move(listener);
    for (size_t i = 0; i < kTableCount; ++i) {
      for (const auto& [key, value] : tables_[i]) listener_({{static_cast<Table>(i), key, value}});
    }
    return Ok();
  }

  void Unfollow() override {
    const std::lock_guard lock(mutex_);
    listener_ = {};
  }

 private:
  std::optional<std::string> Find(Table table, const std::string& key) const {
    const auto& records = tables_[static_cast<size_t>(table)];
    const auto it = records.find(key);
    return it == records.end() ? std::nullopt : std::optional<std::string>(it->second);
  }

  std::mutex mutex_;  // Guards all.
  std::array<std::map<std::string, std::string>, kTableCount> tables_;
  Listener listener_;
  ScopeRevisions scopes_;
};

}  // namespace

std::unique_ptr<RecordStore> MakeMemoryRecordStore() {
  return std::make_unique<MemoryRecordStore>();
}

}  // namespace strata::imaged
