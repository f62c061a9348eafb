// Accounts: the users and groups of this host, as getpwnam(3), getgrnam(3) and getgrouplist(3) know
// them. An interface, so that tests bring users that the machine does not have.
//
// Thread-safe. Who left a group has left it at the next question; only the names of numbers are
// remembered, for half a minute: a listing asks for the same ones again and again.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace strata::imaged {

class Accounts {
 public:
  virtual ~Accounts() = default;
  // A name, or a number (which need not have a name).
  virtual std::optional<uid_t> UidOf(const std::string& user) const = 0;
  virtual std::optional<gid_t> GidOf(const std::string& group) const = 0;
  // The name, or the number when there is none.
  virtual std::string UserName(uid_t uid) const = 0;
  virtual std::string GroupName(gid_t gid) const = 0;
  // Primary and supplementary; empty for an unknown user.
  virtual std::vector<gid_t> GroupsOf(uid_t uid) const = 0;
};

// Those of the host. Lives as long as the process.
const Accounts& HostAccounts();

}  // namespace strata::imaged
