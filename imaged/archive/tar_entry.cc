#include "imaged/archive/tar_entry.h"

#include <archive.h>
#include <archive_entry.h>
#include <linux/posix_acl.h>

#include <algorithm>
#include <map>
#include <optional>

#include "common/printable.h"
#include "imaged/archive/file_access.h"
#include "imaged/archive/posix_acl.h"

namespace strata::imaged {
namespace {

// GNU tar writes '=' and '%' of attribute names so (xheader.c, xattr_encode_keyword).
std::string DecodeKeyword(std::string_view name) {
  std::string decoded;
  while (!name.empty()) {
    if (name.starts_with("%3D") || name.starts_with("%25")) {
      decoded += name[1] == '3' ? '=' : '%';
      name.remove_prefix(3);
    } else {
      decoded += name[0];
      name.remove_prefix(1);
    }
  }
  return decoded;
}

std::vector<Xattr> XattrsOf(archive_entry* entry, const std::string& entry_name,
                            bool caller_is_root, ImportWarnings* warnings) {
  std::map<std::string, std::string> kept;  // bsdtar writes each twice, in two spellings.
  const char* raw_name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  ::archive_entry_xattr_reset(entry);
  while (::archive_entry_xattr_next(entry, &raw_name, &value, &size) == ARCHIVE_OK) {
    std::string name = DecodeKeyword(raw_name);
    if (!IsPortableXattr(name)) {
      warnings->Add(entry_name + ": attribute '" + Printable(name) + "' cannot be kept");
    } else if (!MayImportXattr(name, caller_is_root)) {
      warnings->Add(entry_name + ": attribute '" + Printable(name) + "' is only root's to import");
    } else {
      kept[std::move(name)] = std::string(static_cast<const char*>(value), size);
    }
  }
  std::vector<Xattr> xattrs;
  for (auto& [name, text] : kept) xattrs.push_back({name, std::move(text)});
  return xattrs;
}

std::optional<uint16_t> AclTag(int tag) {
  switch (tag) {
    case ARCHIVE_ENTRY_ACL_USER_OBJ:
      return ACL_USER_OBJ;
    case ARCHIVE_ENTRY_ACL_USER:
      return ACL_USER;
    case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
      return ACL_GROUP_OBJ;
    case ARCHIVE_ENTRY_ACL_GROUP:
      return ACL_GROUP;
    case ARCHIVE_ENTRY_ACL_MASK:
      return ACL_MASK;
    case ARCHIVE_ENTRY_ACL_OTHER:
      return ACL_OTHER;
    default:
      return std::nullopt;
  }
}

// nullopt: a user or group known by name only. Names belong to the system that made the archive;
// guessing an id here could give a stranger access.
std::optional<std::vector<AclEntry>> AclOf(archive_entry* entry, int type) {
  std::vector<AclEntry> acl;
  int found_type = 0;
  int permset = 0;
  int tag = 0;
  int id = 0;
  const char* name = nullptr;
  ::archive_entry_acl_reset(entry, type);
  while (::archive_entry_acl_next(entry, type, &found_type, &permset, &tag, &id, &name) ==
         ARCHIVE_OK) {
    AclEntry each;
    const std::optional<uint16_t> known = AclTag(tag);
    if (!known) return std::nullopt;
    each.tag = *known;
    each.perm = static_cast<uint16_t>(permset & 7);
    if (*known == ACL_USER || *known == ACL_GROUP) {
      const bool is_root = id < 0 && name != nullptr && std::string_view(name) == "root";
      if (id < 0 && !is_root) return std::nullopt;
      each.id = is_root ? 0 : static_cast<uint32_t>(id);
    }
    acl.push_back(each);
  }
  return acl;
}

void PutXattr(std::vector<Xattr>* xattrs, const std::string& name, std::string value) {
  std::erase_if(*xattrs, [&](const Xattr& xattr) { return xattr.name == name; });
  xattrs->push_back({name, std::move(value)});
}

// Adds one ACL as an attribute. While there is a mask, st_mode shows it in place of the group's
// permissions (acl(5)); libarchive's mode holds the group's.
void AddAcl(archive_entry* entry, int type, const std::string& entry_name, Inode* inode,
            ImportWarnings* warnings) {
  if (::archive_entry_acl_count(entry, type) == 0) return;
  const bool access = type == ARCHIVE_ENTRY_ACL_TYPE_ACCESS;
  const auto acl = AclOf(entry, type);
  if (!acl) {
    warnings->Add(entry_name +
                  ": its ACL names users by name only and is left out "
                  "(tar --numeric-owner keeps it)");
    return;
  }
  auto value = AclXattr(*acl);
  if (!value.ok()) {
    warnings->Add(entry_name + ": ACL left out: " + value.error().message());
    return;
  }
  if (access) {
    const auto parsed = ParseAclXattr(*value);
    for (const AclEntry& each : *parsed) {
      if (each.tag == ACL_MASK) inode->mode = (inode->mode & ~070u) | (each.perm & 7u) << 3;
    }
  }
  PutXattr(&inode->xattrs, access ? kAccessAclXattr : kDefaultAclXattr, std::move(*value));
}

Result<uint32_t> Id(int64_t id, const char* what) {
  if (id >= 0 && id < 0xffffffffll) return static_cast<uint32_t>(id);
  return Error(Code::kInvalidArgument,
               std::string(what) + " id " + std::to_string(id) + " is out of range");
}

}  // namespace

Result<Inode> InodeFromEntry(archive_entry* entry, const std::string& name, bool caller_is_root,
                             ImportWarnings* warnings) {
  Inode inode;
  inode.mode = ::archive_entry_mode(entry) & (S_IFMT | 07777u);
  if (S_ISCHR(inode.mode) || S_ISBLK(inode.mode)) {
    inode.rdev = makedev(static_cast<unsigned>(::archive_entry_rdevmajor(entry)),
                         static_cast<unsigned>(::archive_entry_rdevminor(entry)));
    if (!inode.IsWhiteout() && !caller_is_root) {
      return Error(Code::kPermissionDenied, "only root may import device nodes", EPERM);
    }
  }
  ASSIGN_OR_RETURN(inode.uid, Id(::archive_entry_uid(entry), "user"));
  ASSIGN_OR_RETURN(inode.gid, Id(::archive_entry_gid(entry), "group"));
  inode.mtime_s = ::archive_entry_mtime(entry);
  inode.mtime_ns =
      static_cast<uint32_t>(std::clamp<int64_t>(::archive_entry_mtime_nsec(entry), 0, 999'999'999));
  if (inode.mtime_s < 0 && inode.mtime_ns > 0) {
    // libarchive splits "-1.25" into -1 and .25; struct timespec counts the fraction upwards.
    --inode.mtime_s;
    inode.mtime_ns = 1'000'000'000 - inode.mtime_ns;
  }
  if (inode.IsWhiteout()) {
    inode.mode = S_IFCHR;
    return inode;
  }
  if (S_ISLNK(inode.mode)) {
    const char* target = ::archive_entry_symlink(entry);
    if (target != nullptr) inode.data = target;
  }
  inode.xattrs = XattrsOf(entry, name, caller_is_root, warnings);
  AddAcl(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, name, &inode, warnings);
  AddAcl(entry, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, name, &inode, warnings);
  return inode;
}

}  // namespace strata::imaged
