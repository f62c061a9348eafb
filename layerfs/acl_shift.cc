#include "layerfs/acl_shift.h"

#include <endian.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#include <cstring>

namespace strata::layerfs {

Status ShiftAclIds(const IdShift& shift, Xattr* xattr) {
  if (xattr->name != "system.posix_acl_access" && xattr->name != "system.posix_acl_default") {
    return Ok();
  }
  constexpr size_t kHeader = sizeof(posix_acl_xattr_header);
  constexpr size_t kEntry = sizeof(posix_acl_xattr_entry);
  std::string& value = xattr->value;
  if (value.size() < kHeader || (value.size() - kHeader) % kEntry != 0) {
    return Error(Code::kCorrupt, xattr->name + ": not a POSIX ACL");
  }
  for (size_t at = kHeader; at < value.size(); at += kEntry) {
    posix_acl_xattr_entry entry;
    std::memcpy(&entry, value.data() + at, kEntry);
    const uint16_t tag = le16toh(entry.e_tag);
    if (tag != ACL_USER && tag != ACL_GROUP) continue;
    const uint32_t id = le32toh(entry.e_id);
    if (id >= shift.count) {
      return Error(Code::kInvalidArgument,
                   xattr->name + ": names id " + std::to_string(id) + ", outside the range");
    }
    entry.e_id = htole32(shift.first_id + id);
    std::memcpy(value.data() + at, &entry, kEntry);
  }
  return Ok();
}

}  // namespace strata::layerfs
