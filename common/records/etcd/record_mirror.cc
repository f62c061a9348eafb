#include "common/records/etcd/record_mirror.h"

#include <mutex>
#include <set>

namespace strata::records {

std::optional<RecordChange> RecordMirror::RecordOf(const std::string& key,
                                                   std::optional<std::string> value) const {
  for (const Table table : tables_) {
    const std::string prefix = KeyOf(table, "");
    if (key.starts_with(prefix)) {
      return RecordChange{table, key.substr(prefix.size()), std::move(value)};
    }
  }
  return std::nullopt;
}

std::string RecordMirror::KeyOf(Table table, const std::string& key) const {
  (void)IndexOf(tables_, table);
  return std::string(table.name) + "/" + key;
}

void RecordMirror::Reset(int64_t revision, std::vector<Item> all) {
  const std::unique_lock lock(mutex_);
  std::vector<Item> changes;
  std::set<std::string> kept;
  for (Item& item : all) {
    kept.insert(item.key);
    const auto it = entries_.find(item.key);
    if (it == entries_.end() || it->second.revision != item.revision) {
      changes.push_back(std::move(item));
    }
  }
  for (const auto& [key, entry] : entries_) {
    if (!kept.contains(key)) changes.push_back({key, std::nullopt, revision});
  }
  Change(revision, std::move(changes));
}

void RecordMirror::Apply(int64_t revision, std::vector<Item> changes) {
  const std::unique_lock lock(mutex_);
  Change(revision, std::move(changes));
}

void RecordMirror::Change(int64_t revision, std::vector<Item> changes) {
  std::vector<RecordChange> records;
  for (const Item& item : changes) {
    if (auto record = RecordOf(item.key, item.value)) records.push_back(std::move(*record));
  }
  if (listener_ && !records.empty()) listener_(records);
  for (Item& item : changes) {
    if (item.value) {
      entries_[item.key] = {std::make_shared<const std::string>(std::move(*item.value)),
                            item.revision};
    } else {
      entries_.erase(item.key);
    }
  }
  revision_ = revision;
  moved_.notify_all();
}

int64_t RecordMirror::revision() const {
  const std::shared_lock lock(mutex_);
  return revision_;
}

bool RecordMirror::Await(int64_t revision, std::chrono::steady_clock::time_point deadline) const {
  std::shared_lock lock(mutex_);
  return moved_.wait_until(lock, deadline, [&] { return revision_ >= revision; });
}

std::optional<std::string> RecordMirror::Get(const std::string& key) const {
  const std::shared_lock lock(mutex_);
  const auto it = entries_.find(key);
  return it == entries_.end() ? std::nullopt : std::optional<std::string>(*it->second.value);
}

int64_t RecordMirror::RevisionOf(const std::string& key) const {
  const std::shared_lock lock(mutex_);
  const auto it = entries_.find(key);
  return it == entries_.end() ? 0 : it->second.revision;
}

Status RecordMirror::Scan(Table table, const std::string& prefix,
                          const RecordStore::Visitor& visit) const {
  const std::string start = KeyOf(table, prefix);
  const size_t skipped = KeyOf(table, "").size();
  std::vector<std::pair<std::string, std::shared_ptr<const std::string>>> found;
  {
    const std::shared_lock lock(mutex_);
    for (auto it = entries_.lower_bound(start);
         it != entries_.end() && it->first.starts_with(start); ++it) {
      found.emplace_back(it->first.substr(skipped), it->second.value);
    }
  }
  for (const auto& [key, value] : found) RETURN_IF_ERROR(visit(key, *value));
  return Ok();
}

void RecordMirror::Follow(RecordStore::Listener listener) {
  const std::unique_lock lock(mutex_);
  listener_ = std::move(listener);
  for (const auto& [key, entry] : entries_) {
    if (auto record = RecordOf(key, *entry.value)) listener_({std::move(*record)});
  }
}

void RecordMirror::Unfollow() {
  const std::unique_lock lock(mutex_);
  listener_ = {};
}

}  // namespace strata::records
