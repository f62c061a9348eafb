#include "imaged/archive/posix_acl.h"

#include <endian.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#include <algorithm>
#include <cstring>

namespace strata::imaged {
namespace {

bool IsNamed(const AclEntry& entry) { return entry.tag == ACL_USER || entry.tag == ACL_GROUP; }

Error Invalid(const char* why) {
  return Error(Code::kInvalidArgument, std::string("not a POSIX ACL: ") + why);
}

Status Check(const std::vector<AclEntry>& entries) {
  const auto count = [&](uint16_t tag) {
    return std::count_if(entries.begin(), entries.end(),
                         [&](const AclEntry& entry) { return entry.tag == tag; });
  };
  for (size_t i = 0; i < entries.size(); ++i) {
    const AclEntry& entry = entries[i];
    if (entry.perm > 7) return Invalid("permissions beyond rwx");
    if (i == 0) continue;
    const AclEntry& before = entries[i - 1];
    if (before.tag > entry.tag) return Invalid("entries out of order");
    if (before.tag == entry.tag && before.id >= entry.id) return Invalid("an entry twice");
  }
  const auto named = count(ACL_USER) + count(ACL_GROUP);
  const auto masks = count(ACL_MASK);
  if (count(ACL_USER_OBJ) != 1 || count(ACL_GROUP_OBJ) != 1 || count(ACL_OTHER) != 1) {
    return Invalid("owner, group and other must be there once");
  }
  if (masks > 1 || (named > 0 && masks == 0)) return Invalid("one mask is needed");
  if (named + masks + 3 != static_cast<ptrdiff_t>(entries.size())) return Invalid("unknown tag");
  return Ok();
}

const char* TagName(uint16_t tag) {
  switch (tag) {
    case ACL_USER_OBJ:
    case ACL_USER:
      return "user";
    case ACL_GROUP_OBJ:
    case ACL_GROUP:
      return "group";
    case ACL_MASK:
      return "mask";
    default:
      return "other";
  }
}

}  // namespace

Result<std::vector<AclEntry>> ParseAclXattr(std::string_view value) {
  posix_acl_xattr_header header;
  if (value.size() < sizeof(header)) return Invalid("too short");
  std::memcpy(&header, value.data(), sizeof(header));
  if (le32toh(header.a_version) != POSIX_ACL_XATTR_VERSION) return Invalid("unknown version");
  value.remove_prefix(sizeof(header));
  if (value.size() % sizeof(posix_acl_xattr_entry) != 0) return Invalid("a part of an entry");
  std::vector<AclEntry> entries;
  for (; !value.empty(); value.remove_prefix(sizeof(posix_acl_xattr_entry))) {
    posix_acl_xattr_entry raw;
    std::memcpy(&raw, value.data(), sizeof(raw));
    AclEntry entry{le16toh(raw.e_tag), le16toh(raw.e_perm), le32toh(raw.e_id)};
    if (!IsNamed(entry)) entry.id = 0;
    entries.push_back(entry);
  }
  RETURN_IF_ERROR(Check(entries));
  return entries;
}

Result<std::string> AclXattr(std::vector<AclEntry> entries) {
  const bool named = std::any_of(entries.begin(), entries.end(), IsNamed);
  const bool masked = std::any_of(entries.begin(), entries.end(),
                                  [](const AclEntry& entry) { return entry.tag == ACL_MASK; });
  if (named && !masked) {
    AclEntry mask{ACL_MASK, 0, 0};
    for (const AclEntry& entry : entries) {
      if (IsNamed(entry) || entry.tag == ACL_GROUP_OBJ) mask.perm |= entry.perm;
    }
    entries.push_back(mask);
  }
  std::sort(entries.begin(), entries.end(), [](const AclEntry& a, const AclEntry& b) {
    return std::pair(a.tag, a.id) < std::pair(b.tag, b.id);
  });
  RETURN_IF_ERROR(Check(entries));
  const posix_acl_xattr_header header{htole32(POSIX_ACL_XATTR_VERSION)};
  std::string value(reinterpret_cast<const char*>(&header), sizeof(header));
  for (const AclEntry& entry : entries) {
    const uint32_t id = IsNamed(entry) ? entry.id : static_cast<uint32_t>(ACL_UNDEFINED_ID);
    const posix_acl_xattr_entry raw{htole16(entry.tag), htole16(entry.perm), htole32(id)};
    value.append(reinterpret_cast<const char*>(&raw), sizeof(raw));
  }
  return value;
}

std::string AclText(const std::vector<AclEntry>& entries) {
  std::string text;
  for (const AclEntry& entry : entries) {
    if (!text.empty()) text += ',';
    text += TagName(entry.tag);
    text += ':';
    if (IsNamed(entry)) text += std::to_string(entry.id);
    text += ':';
    text += (entry.perm & ACL_READ) != 0 ? 'r' : '-';
    text += (entry.perm & ACL_WRITE) != 0 ? 'w' : '-';
    text += (entry.perm & ACL_EXECUTE) != 0 ? 'x' : '-';
  }
  return text;
}

}  // namespace strata::imaged
