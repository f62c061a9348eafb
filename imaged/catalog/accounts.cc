#include "imaged/catalog/accounts.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <mutex>
#include <unordered_map>

namespace strata::imaged {
namespace {

constexpr size_t kBufferBytes = 16 * 1024;
constexpr size_t kBufferBytesMax = 1 << 20;  // A group with many members needs more.
constexpr int kGroupsMax = 65536;            // NGROUPS_MAX.

std::optional<uint32_t> Number(const std::string& text) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return number;
  return std::nullopt;
}

// Calls one of the get…_r functions with a buffer that grows as it asks; what it found is handed to
// `use` while the buffer lives.
template <typename Entry, typename Lookup, typename Use>
void WithEntry(const Lookup& lookup, const Use& use) {
  for (size_t size = kBufferBytes; size <= kBufferBytesMax; size *= 4) {
    std::vector<char> buffer(size);
    Entry entry;
    Entry* found = nullptr;
    const int error = lookup(&entry, buffer.data(), buffer.size(), &found);
    if (error == ERANGE) continue;
    if (error == 0 && found != nullptr) use(*found);
    return;
  }
}

// Names of numbers, for a while.
class NameCache {
 public:
  template <typename Lookup>
  std::string Get(uint32_t number, const Lookup& lookup) {
    const auto now = std::chrono::steady_clock::now();
    {
      const std::lock_guard lock(mutex_);
      const auto it = names_.find(number);
      if (it != names_.end() && now - it->second.since < kKept) return it->second.name;
    }
    std::string name = lookup();
    const std::lock_guard lock(mutex_);
    if (names_.size() >= kNamesMax) names_.clear();
    names_[number] = {name, now};
    return name;
  }

 private:
  static constexpr std::chrono::seconds kKept{30};
  static constexpr size_t kNamesMax = 100'000;
  struct Entry {
    std::string name;
    std::chrono::steady_clock::time_point since;
  };
  std::mutex mutex_;  // Guards names_.
  std::unordered_map<uint32_t, Entry> names_;
};

class HostAccountsImpl final : public Accounts {
 public:
  std::optional<uid_t> UidOf(const std::string& user) const override {
    if (const auto number = Number(user)) return number;
    std::optional<uid_t> uid;
    WithEntry<passwd>([&](auto... rest) { return ::getpwnam_r(user.c_str(), rest...); },
                      [&](const passwd& entry) { uid = entry.pw_uid; });
    return uid;
  }

  std::optional<gid_t> GidOf(const std::string& name) const override {
    if (const auto number = Number(name)) return number;
    std::optional<gid_t> gid;
    WithEntry<group>([&](auto... rest) { return ::getgrnam_r(name.c_str(), rest...); },
                     [&](const group& entry) { gid = entry.gr_gid; });
    return gid;
  }

  std::string UserName(uid_t uid) const override {
    return users_.Get(uid, [uid] {
      std::string name = std::to_string(uid);
      WithEntry<passwd>([&](auto... rest) { return ::getpwuid_r(uid, rest...); },
                        [&](const passwd& entry) { name = entry.pw_name; });
      return name;
    });
  }

  std::string GroupName(gid_t gid) const override {
    return groups_.Get(gid, [gid] {
      std::string name = std::to_string(gid);
      WithEntry<group>([&](auto... rest) { return ::getgrgid_r(gid, rest...); },
                       [&](const group& entry) { name = entry.gr_name; });
      return name;
    });
  }

  std::vector<gid_t> GroupsOf(uid_t uid) const override {
    std::string name;
    gid_t primary = 0;
    WithEntry<passwd>([&](auto... rest) { return ::getpwuid_r(uid, rest...); },
                      [&](const passwd& entry) {
                        name = entry.pw_name;
                        primary = entry.pw_gid;
                      });
    if (name.empty()) return {};
    int count = 64;
    std::vector<gid_t> groups(static_cast<size_t>(count));
    while (::getgrouplist(name.c_str(), primary, groups.data(), &count) < 0) {
      if (count > kGroupsMax) return {primary};
      groups.resize(static_cast<size_t>(count));
    }
    groups.resize(static_cast<size_t>(count));
    return groups;
  }

 private:
  mutable NameCache users_;
  mutable NameCache groups_;
};

}  // namespace

const Accounts& HostAccounts() {
  static const HostAccountsImpl accounts;
  return accounts;
}

}  // namespace strata::imaged
