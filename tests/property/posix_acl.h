// POSIX ACLs as the model knows them (acl(5); fs/posix_acl.c in Linux). Pure functions.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace strata::property {

struct AclEntry {
  uint16_t tag = 0;  // 1 owner, 2 user, 4 group owner, 8 group, 16 mask, 32 others
  uint16_t permissions = 0;
  uint32_t id = ~0u;
};
using Acl = std::vector<AclEntry>;  // Ordered by tag, as the kernel wants it.

// The value of the extended attribute.
std::string AclValue(const Acl& acl);
// The ACL that an operation with this number sets.
Acl AclOf(uint64_t number);

// The permission bits that an access ACL stands for.
mode_t ModeOf(const Acl& acl);
// Says nothing more than a mode: such an access ACL is not kept.
bool IsMode(const Acl& acl);
// chmod(2) on a file with an access ACL.
void ApplyMode(mode_t mode, Acl* acl);
// What a new file gets from its directory's default ACL: its access ACL, absent when the mode says
// it all; *mode: asked for, becomes what it gets.
std::optional<Acl> Inherit(const Acl& directory_default, mode_t* mode);

}  // namespace strata::property
