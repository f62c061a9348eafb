// RecentMap: a map of bounded size that forgets what was not touched for longest. Not thread-safe.
#pragma once

#include <list>
#include <string>
#include <unordered_map>
#include <utility>

namespace strata::vcluster {

// The least recently touched of more than `entries_max` entries go.
template <typename Value>
class RecentMap {
 public:
  explicit RecentMap(size_t entries_max) : entries_max_(entries_max) {}

  // Null when there is none. Good until the next call.
  Value* Find(const std::string& key) {
    const auto it = places_.find(key);
    return it == places_.end() ? nullptr : &it->second->second;
  }
  // Makes one when there is none, and touches it.
  Value& Touch(const std::string& key) {
    if (const auto it = places_.find(key); it != places_.end()) {
      entries_.splice(entries_.begin(), entries_, it->second);
      return entries_.front().second;
    }
    if (entries_.size() >= entries_max_) {
      places_.erase(entries_.back().first);
      entries_.pop_back();
    }
    entries_.emplace_front(key, Value());
    places_[key] = entries_.begin();
    return entries_.front().second;
  }
  void Erase(const std::string& key) {
    const auto it = places_.find(key);
    if (it == places_.end()) return;
    entries_.erase(it->second);
    places_.erase(it);
  }
  // Those with such a key; looks at all.
  template <typename Unwanted>
  void EraseIf(const Unwanted& unwanted) {
    for (auto it = entries_.begin(); it != entries_.end();) {
      if (unwanted(it->first)) {
        places_.erase(it->first);
        it = entries_.erase(it);
      } else {
        ++it;
      }
    }
  }
  size_t size() const { return entries_.size(); }

 private:
  using Entries = std::list<std::pair<std::string, Value>>;
  const size_t entries_max_;
  Entries entries_;  // Touched last first.
  std::unordered_map<std::string, typename Entries::iterator> places_;
};

}  // namespace strata::vcluster
