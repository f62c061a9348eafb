// Who may use an image. Root and the owner always; everybody a public one; otherwise whom a grant
// that has not expired names: a user, a group of the host, or a class.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "imaged/catalog/accounts.h"
#include "imaged/catalog/records.pb.h"

namespace strata::imaged {

class Classes;

// A user, as the rules see him. Groups are asked for at most once. Used by one thread; `accounts`
// and `classes` must outlive it.
class Viewer {
 public:
  Viewer(uid_t uid, const Accounts& accounts, const Classes& classes)
      : uid_(uid), accounts_(accounts), classes_(classes) {}

  uid_t uid() const { return uid_; }
  bool IsRoot() const { return uid_ == 0; }
  // He may change what `owner` has.
  bool Owns(uid_t owner) const { return IsRoot() || uid_ == owner; }
  bool InGroup(gid_t gid) const;
  bool InClass(const catalog::GrantRecord& grant) const;

 private:
  const uid_t uid_;
  const Accounts& accounts_;
  const Classes& classes_;
  mutable std::optional<std::vector<gid_t>> groups_;
};

enum class AccessKind { kNone, kOwner, kRoot, kPublic, kGrant };

struct Access {
  AccessKind kind = AccessKind::kNone;
  const catalog::GrantRecord* grant = nullptr;  // Of the tag that was asked about.
  explicit operator bool() const { return kind != AccessKind::kNone; }
};

Access AccessOf(const Viewer& viewer, uid_t owner_uid, const catalog::TagRecord& tag,
                int64_t now_unix_ms);

// Whether anybody but the owner and root may use it.
bool IsShared(const catalog::TagRecord& tag, int64_t now_unix_ms);

bool IsExpired(const catalog::GrantRecord& grant, int64_t now_unix_ms);

}  // namespace strata::imaged
