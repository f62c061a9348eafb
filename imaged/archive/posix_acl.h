// POSIX ACLs (acl(5)) in their two spellings: the binary value of the attributes
// system.posix_acl_access and system.posix_acl_default (linux/posix_acl_xattr.h), and the text of
// pax archives (SCHILY.acl.access, SCHILY.acl.default), with numeric ids.
// Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace strata::imaged {

inline constexpr char kAccessAclXattr[] = "system.posix_acl_access";
inline constexpr char kDefaultAclXattr[] = "system.posix_acl_default";

struct AclEntry {
  uint16_t tag = 0;   // ACL_USER_OBJ, …
  uint16_t perm = 0;  // rwx as 4 + 2 + 1.
  uint32_t id = 0;    // ACL_USER and ACL_GROUP only, else 0.
  auto operator<=>(const AclEntry&) const = default;
};

// kInvalidArgument unless it is what the kernel would accept: owner, group and other exactly once,
// a mask when users or groups are named, in order.
Result<std::vector<AclEntry>> ParseAclXattr(std::string_view value);

// Sorts; adds the mask that named entries need when there is none. kInvalidArgument as above.
Result<std::string> AclXattr(std::vector<AclEntry> entries);

// "user::rw-,user:1000:r--,group::r--,mask::r--,other::---"
std::string AclText(const std::vector<AclEntry>& entries);

}  // namespace strata::imaged
