// RecordMirror: the keys of one prefix of etcd in memory, as of one revision, and who listens to
// them. Reads are of one moment and ask nobody.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "common/records/record_store.h"
#include "common/records/table_list.h"
#include "common/result.h"

namespace strata::records {

class RecordMirror {
 public:
  explicit RecordMirror(std::vector<Table> tables) : tables_(std::move(tables)) {
    CheckTables(tables_);
  }

  struct Item {
    std::string key;  // Below the prefix.
    std::optional<std::string> value;
    int64_t revision = 0;
  };

  // "<table>/<key>", below the prefix. REQUIRES: it is one of the tables.
  std::string KeyOf(Table table, const std::string& key) const;

  // Replaces everything; the listener hears what differs.
  void Reset(int64_t revision, std::vector<Item> all);
  // What changed up to and with `revision`, in its order.
  void Apply(int64_t revision, std::vector<Item> changes);
  int64_t revision() const;
  // Whether it has come so far by `deadline`.
  bool Await(int64_t revision, std::chrono::steady_clock::time_point deadline) const;

  std::optional<std::string> Get(const std::string& key) const;
  // 0: there is no such key.
  int64_t RevisionOf(const std::string& key) const;
  Status Scan(Table table, const std::string& prefix, const RecordStore::Visitor& visit) const;

  void Follow(RecordStore::Listener listener);
  void Unfollow();

 private:
  struct Entry {
    std::shared_ptr<const std::string> value;
    int64_t revision = 0;
  };
  // The record that a key is; nullopt for what only the store needs.
  std::optional<RecordChange> RecordOf(const std::string& key,
                                       std::optional<std::string> value) const;
  // REQUIRES: mutex_ is held for writing. The listener hears it before anybody can read it, so
  // that what was heard is never behind what was read.
  void Change(int64_t revision, std::vector<Item> changes);

  const std::vector<Table> tables_;
  mutable std::shared_mutex mutex_;  // Guards what follows.
  mutable std::condition_variable_any moved_;
  std::map<std::string, Entry> entries_;
  int64_t revision_ = 0;
  RecordStore::Listener listener_;
};

}  // namespace strata::records
