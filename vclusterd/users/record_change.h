// Reading protobuf records, and changing them only as they were read.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/records/record_store.h"
#include "common/records/retry.h"
#include "common/result.h"

namespace strata::vcluster {

template <typename Record>
struct Loaded {
  Record value;                    // Empty when there is none.
  std::optional<std::string> raw;  // As it is in the store; absent: there is none.
};

// kCorrupt for bytes that are no `Record`.
template <typename Record>
Result<Loaded<Record>> Load(records::RecordStore& store, records::Table table,
                            const std::string& key) {
  Loaded<Record> loaded;
  ASSIGN_OR_RETURN(loaded.raw, store.Get(table, key));
  if (loaded.raw && !loaded.value.ParseFromString(*loaded.raw)) {
    return Error(Code::kCorrupt,
                 "the record " + key + " of " + std::string(table.name) + " is damaged");
  }
  return loaded;
}

// For a change that rests on a revision which somebody saw (absent: on none).
template <typename Record>
Status CheckRevision(const std::optional<uint64_t>& seen, const Record& record,
                     const std::string& what) {
  if (!seen || *seen == record.revision()) return Ok();
  return Error(Code::kFailedPrecondition,
               "somebody else has changed " + what + " meanwhile: look at it again");
}

// As records::RetryWhileChanged; but a change that rests on a revision fails at once.
template <typename Change>
auto ChangeFrom(const std::optional<uint64_t>& seen, const Change& change) -> decltype(change()) {
  return seen ? change() : records::RetryWhileChanged(change);
}

// Records that change together, each from what it was; kFailedPrecondition when one of them is
// something else by now.
class Transaction {
 public:
  void Expect(records::Table table, const std::string& key, std::optional<std::string> was) {
    expected_.push_back({table, key, std::move(was)});
  }
  template <typename Record>
  void Put(records::Table table, const std::string& key, std::optional<std::string> was,
           const Record& record) {
    Expect(table, key, std::move(was));
    changes_.push_back({table, key, record.SerializeAsString()});
  }
  void Remove(records::Table table, const std::string& key, std::optional<std::string> was) {
    Expect(table, key, std::move(was));
    changes_.push_back({table, key, std::nullopt});
  }
  // Whatever is there.
  void RemoveAny(records::Table table, const std::string& key) {
    changes_.push_back({table, key, std::nullopt});
  }

  size_t size() const { return changes_.size(); }
  Status Commit(records::RecordStore& store) const { return store.Commit(expected_, changes_); }

 private:
  std::vector<records::RecordExpectation> expected_;
  std::vector<records::RecordChange> changes_;
};

}  // namespace strata::vcluster
