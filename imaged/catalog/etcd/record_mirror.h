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
#include <shared_mutex>
#include <string>
#include <vector>

#include "common/result.h"
#include "imaged/catalog/record_store.h"

namespace strata::imaged {

// "<table>/<key>", below the prefix.
std::string MirrorKey(Table table, const std::string& key);

class RecordMirror {
 public:
  struct Item {
    std::string key;  // Below the prefix.
    std::optional<std::string> value;
    int64_t revision = 0;
  };

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
  // REQUIRES: mutex_ is held for writing. The listener hears it before anybody can read it, so
  // that what was heard is never behind what was read.
  void Change(int64_t revision, std::vector<Item> changes);

  mutable std::shared_mutex mutex_;  // Guards what follows.
  mutable std::condition_variable_any moved_;
  std::map<std::string, Entry> entries_;
  int64_t revision_ = 0;
  RecordStore::Listener listener_;
};

}  // namespace strata::imaged
