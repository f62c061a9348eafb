// ExpectedState: what must be there after a crash, by key. An operation that was acknowledged
// counts; of one that was under way either outcome is right, as long as it is a whole one.
// Thread-safe; one operation per key at a time.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace strata {

class ExpectedState {
 public:
  using Value = std::optional<std::string>;  // nullopt: there is nothing under the key.
  // What may be under a key; first what was acknowledged.
  using Outcomes = std::map<std::string, std::vector<Value>>;
  // One moment of it.
  struct Snapshot {
    std::map<std::string, Value> acknowledged;
    std::map<std::string, Value> under_way;
    size_t begun = 0;
  };

  // The operation that will make `next` of the key begins.
  void Begin(const std::string& key, Value next) {
    const std::lock_guard lock(mutex_);
    begun_.emplace_back(key, next);
    now_.under_way[key] = std::move(next);
  }
  // It was acknowledged, with this as its outcome.
  void Acknowledge(const std::string& key, Value outcome) {
    const std::lock_guard lock(mutex_);
    now_.under_way.erase(key);
    now_.acknowledged[key] = std::move(outcome);
  }
  // Ends an operation whose outcome was found out after a crash.
  void Settle(const std::string& key, Value found) { Acknowledge(key, std::move(found)); }

  Value Acknowledged(const std::string& key) const {
    const std::lock_guard lock(mutex_);
    const auto it = now_.acknowledged.find(key);
    return it == now_.acknowledged.end() ? std::nullopt : it->second;
  }
  Snapshot Take() const {
    const std::lock_guard lock(mutex_);
    Snapshot snapshot = now_;
    snapshot.begun = begun_.size();
    return snapshot;
  }
  // The outcomes that are right for a crash between `before` and now, for every key there was.
  Outcomes Right(const Snapshot& before) const {
    const std::lock_guard lock(mutex_);
    Outcomes right;
    for (const auto& [key, value] : before.acknowledged) right[key].push_back(value);
    const auto may = [&](const std::string& key, const Value& value) {
      std::vector<Value>& values = right[key];
      if (values.empty()) values.push_back(std::nullopt);
      values.push_back(value);
    };
    for (const auto& [key, value] : before.under_way) may(key, value);
    for (size_t i = before.begun; i < begun_.size(); ++i) may(begun_[i].first, begun_[i].second);
    return right;
  }

 private:
  mutable std::mutex mutex_;  // Guards all.
  Snapshot now_;              // But for `begun`.
  std::vector<std::pair<std::string, Value>> begun_;
};

}  // namespace strata
