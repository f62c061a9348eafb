// Attributes and ACLs.
#include <errno.h>

#include "tests/property/model.h"

namespace strata::property {
namespace {

constexpr std::string_view kXattrNames[] = {"user.a", "user.b", "trusted.c",
                                            // The union's own names, as an application's.
                                            "trusted.overlay.redirect", "trusted.overlay.opaque"};

Expected Fails(int error) {
  Expected expected;
  expected.error = error;
  return expected;
}

bool Follows(Kind kind) {
  return kind == Kind::kChmod || kind == Kind::kSetAcl || kind == Kind::kRemoveAcl;
}

}  // namespace

std::string_view XattrNameOf(uint64_t which) { return kXattrNames[which % std::size(kXattrNames)]; }

void Model::Chmod(Id id, mode_t mode) {
  Inode& inode = At(id);
  inode.mode = (inode.mode & S_IFMT) | (mode & 07777);
  if (inode.access_acl) ApplyMode(mode, &*inode.access_acl);
}

Expected Model::ChangeAttributes(const Operation& op) {
  const Place place = Resolve(op.path, Follows(op.kind));
  if (place.error != 0) return Fails(place.error);
  if (!place.id) return Fails(ENOENT);
  Inode& inode = At(*place.id);
  Expected expected;
  switch (op.kind) {
    case Kind::kChmod:
      if ((op.at & 06000) != 0 && !inode.IsDirectory()) {
        expected.skip = true;
        return expected;
      }
      Chmod(*place.id, static_cast<mode_t>(op.at & 07777));
      return expected;
    case Kind::kChown:
      inode.uid = static_cast<uid_t>(op.at);
      inode.gid = static_cast<gid_t>(op.size);
      return expected;
    case Kind::kUtimes:
      inode.mtime_kind = MtimeKind::kExact;
      inode.mtime_seconds = static_cast<int64_t>(op.number);
      return expected;
    case Kind::kSetXattr:
    case Kind::kRemoveXattr:
      return SetXattr(op, *place.id);
    case Kind::kSetAcl:
    case Kind::kRemoveAcl:
      return ChangeAcl(op, *place.id);
    default:
      expected.inode = *place.id;
      return expected;
  }
}

Expected Model::SetXattr(const Operation& op, Id id) {
  Inode& inode = At(id);
  const std::string name(XattrNameOf(op.at));
  if (name.starts_with("user.") && !inode.IsRegular() && !inode.IsDirectory()) return Fails(EPERM);
  const bool present = inode.xattrs.contains(name);
  if (op.kind == Kind::kRemoveXattr) {
    if (!present) return Fails(ENODATA);
    inode.xattrs.erase(name);
    return {};
  }
  if (op.number % 3 == 1 && present) return Fails(EEXIST);
  if (op.number % 3 == 2 && !present) return Fails(ENODATA);
  inode.xattrs[name] = Pattern(op.number, op.size);
  return {};
}

Expected Model::ChangeAcl(const Operation& op, Id id) {
  Inode& inode = At(id);
  const bool is_default = op.at % 2 == 1;
  if (op.kind == Kind::kRemoveAcl) {
    (is_default ? inode.default_acl : inode.access_acl).reset();
    return {};
  }
  if (is_default && !inode.IsDirectory()) return Fails(EACCES);
  Acl acl = AclOf(op.number);
  if (is_default) {
    inode.default_acl = std::move(acl);
    return {};
  }
  inode.mode = (inode.mode & ~0777u) | ModeOf(acl);
  inode.access_acl.reset();
  if (!IsMode(acl)) inode.access_acl = std::move(acl);
  return {};
}

}  // namespace strata::property
