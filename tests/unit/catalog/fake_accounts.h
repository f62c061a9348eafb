// Users and groups that the machine does not have.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "imaged/catalog/accounts.h"

namespace strata::imaged {

class FakeAccounts final : public Accounts {
 public:
  void AddUser(const std::string& name, uid_t uid) { uids_[name] = uid; }
  void AddGroup(const std::string& name, gid_t gid, const std::set<uid_t>& members) {
    gids_[name] = gid;
    members_[gid] = members;
  }
  void LeaveGroup(gid_t gid, uid_t uid) { members_[gid].erase(uid); }

  std::optional<uid_t> UidOf(const std::string& user) const override { return Find(uids_, user); }
  std::optional<gid_t> GidOf(const std::string& group) const override { return Find(gids_, group); }
  std::string UserName(uid_t uid) const override { return NameOf(uids_, uid); }
  std::string GroupName(gid_t gid) const override { return NameOf(gids_, gid); }
  std::vector<gid_t> GroupsOf(uid_t uid) const override {
    std::vector<gid_t> groups;
    for (const auto& [gid, members] : members_) {
      if (members.contains(uid)) groups.push_back(gid);
    }
    return groups;
  }

 private:
  using Numbers = std::map<std::string, uint32_t>;
  static std::optional<uint32_t> Find(const Numbers& numbers, const std::string& name) {
    const auto it = numbers.find(name);
    return it == numbers.end() ? std::nullopt : std::optional<uint32_t>(it->second);
  }
  static std::string NameOf(const Numbers& numbers, uint32_t number) {
    for (const auto& [name, known] : numbers) {
      if (known == number) return name;
    }
    return std::to_string(number);
  }

  Numbers uids_;
  Numbers gids_;
  std::map<gid_t, std::set<uid_t>> members_;
};

}  // namespace strata::imaged
