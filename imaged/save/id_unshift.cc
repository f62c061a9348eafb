#include "imaged/save/id_unshift.h"

#include <linux/capability.h>
#include <linux/posix_acl_xattr.h>
#include <sys/acl.h>

#include <cstring>

namespace strata::imaged {
namespace {

constexpr uint32_t kOverflowId = 65534;

bool Unshift(const IdRange& range, uint32_t* id) {
  if (*id >= range.first_id && *id - range.first_id < range.count) {
    *id -= range.first_id;
    return true;
  }
  *id = kOverflowId;
  return false;
}

bool UnshiftAcl(const IdRange& range, std::string* acl) {
  bool inside = true;
  constexpr size_t kHeader = sizeof(posix_acl_xattr_header);
  for (size_t at = kHeader; at + sizeof(posix_acl_xattr_entry) <= acl->size();
       at += sizeof(posix_acl_xattr_entry)) {
    posix_acl_xattr_entry entry;
    std::memcpy(&entry, acl->data() + at, sizeof(entry));
    if (entry.e_tag != ACL_USER && entry.e_tag != ACL_GROUP) continue;
    uint32_t id = entry.e_id;
    inside = Unshift(range, &id) && inside;
    entry.e_id = id;
    std::memcpy(acl->data() + at, &entry, sizeof(entry));
  }
  return inside;
}

// A capability that a container's root gave is version 3 with that root's host id; in a layer it is
// version 2, valid for whoever is root where the layer is used.
void UnshiftCapability(std::string* value) {
  vfs_ns_cap_data data;
  if (value->size() != XATTR_CAPS_SZ_3) return;
  std::memcpy(&data, value->data(), sizeof(data));
  if ((data.magic_etc & VFS_CAP_REVISION_MASK) != VFS_CAP_REVISION_3) return;
  data.magic_etc = (data.magic_etc & ~VFS_CAP_REVISION_MASK) | VFS_CAP_REVISION_2;
  value->assign(reinterpret_cast<const char*>(&data), XATTR_CAPS_SZ_2);
}

}  // namespace

bool UnshiftIds(const IdRange& range, Inode* inode) {
  if (range.count == 0) return true;
  bool inside = Unshift(range, &inode->uid);
  inside = Unshift(range, &inode->gid) && inside;
  for (Xattr& xattr : inode->xattrs) {
    if (xattr.name == "system.posix_acl_access" || xattr.name == "system.posix_acl_default") {
      inside = UnshiftAcl(range, &xattr.value) && inside;
    } else if (xattr.name == "security.capability") {
      UnshiftCapability(&xattr.value);
    }
  }
  return inside;
}

}  // namespace strata::imaged
