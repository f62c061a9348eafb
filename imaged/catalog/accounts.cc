#include "imaged/catalog/accounts.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <charconv>

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
    std::string name = std::to_string(uid);
    WithEntry<passwd>([&](auto... rest) { return ::getpwuid_r(uid, rest...); },
                      [&](const passwd& entry) { name = entry.pw_name; });
    return name;
  }

  std::string GroupName(gid_t gid) const override {
    std::string name = std::to_string(gid);
    WithEntry<group>([&](auto... rest) { return ::getgrgid_r(gid, rest...); },
                     [&](const group& entry) { name = entry.gr_name; });
    return name;
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
};

}  // namespace

const Accounts& HostAccounts() {
  static const HostAccountsImpl accounts;
  return accounts;
}

}  // namespace strata::imaged
