// Changes of attributes, and extended attributes.
#include <fcntl.h>
#include <sys/xattr.h>

#include <algorithm>

#include "common/xattr.h"
#include "layerfs/fuse/rights.h"
#include "layerfs/fuse/union_fs.h"

namespace strata::layerfs {

Result<struct stat> UnionFs::SetAttributes(const InodePtr& inode, const AttributeChange& change) {
  CopyUpMode mode = CopyUpMode::kMetadata;
  if (change.size) mode = *change.size == 0 ? CopyUpMode::kEmpty : CopyUpMode::kData;
  SharedFd fd;
  RETURN_IF_ERROR(CopyUp(inode, mode, &fd));
  const std::lock_guard change_lock(inode->change_mutex);
  if (fd == nullptr) {
    ASSIGN_OR_RETURN(fd, UpperFd(inode));
  }
  if (change.size) {
    ASSIGN_OR_RETURN(const UniqueFd file, upper_->OpenFile(RefOf(inode), O_WRONLY));
    std::optional<FsetidScope> fsetid;
    if (change.keep_setid) fsetid.emplace();
    if (::ftruncate(file.get(), static_cast<off_t>(*change.size)) != 0) return Errno("truncate");
  }
  if (change.uid || change.gid) {
    const uid_t uid = change.uid.value_or(static_cast<uid_t>(-1));
    const gid_t gid = change.gid.value_or(static_cast<gid_t>(-1));
    if (::fchownat(fd->get(), "", uid, gid, AT_EMPTY_PATH) != 0) return Errno("chown");
  }
  if (change.mode) {
    std::optional<FsetidScope> fsetid;
    if ((*change.mode & S_ISGID) != 0) fsetid.emplace();
    RETURN_IF_ERROR(ChangeMode(fd->get(), *change.mode & 07777));
  }
  if (change.atime || change.mtime) {
    const timespec omit = {.tv_sec = 0, .tv_nsec = UTIME_OMIT};
    const timespec times[2] = {change.atime.value_or(omit), change.mtime.value_or(omit)};
    RETURN_IF_ERROR(ChangeTimes(fd->get(), times));
  }
  return UpperAttributes(*inode, fd->get());
}

Result<std::string> UnionFs::GetXattr(const InodePtr& inode, const std::string& name) {
  bool upper;
  bool bare;
  {
    const std::lock_guard lock(inode->mutex);
    upper = static_cast<bool>(inode->upper);
    bare = inode->bare;
  }
  // The kernel asks for security.capability at every file's first write.
  if (upper && bare) return Error(Code::kNotFound, "no attribute", ENODATA);
  if (upper) {
    ASSIGN_OR_RETURN(const SharedFd fd, UpperFd(inode));
    return strata::GetXattr(fd->get(), imaged::EscapeXattrName(name));
  }
  ASSIGN_OR_RETURN(const std::vector<Xattr> xattrs, lower_->GetXattrs(*inode->lower));
  const auto found = std::find_if(xattrs.begin(), xattrs.end(),
                                  [&](const Xattr& xattr) { return xattr.name == name; });
  if (found == xattrs.end()) return Error(Code::kNotFound, "no attribute " + name, ENODATA);
  return found->value;
}

Result<std::vector<std::string>> UnionFs::ListXattrs(const InodePtr& inode) {
  std::vector<std::string> names;
  const UpperRef ref = RefOf(inode);
  if (!ref) {
    ASSIGN_OR_RETURN(const std::vector<Xattr> xattrs, lower_->GetXattrs(*inode->lower));
    for (const Xattr& xattr : xattrs) names.push_back(xattr.name);
    return names;
  }
  ASSIGN_OR_RETURN(const SharedFd fd, upper_->OpenPath(ref));
  ASSIGN_OR_RETURN(const std::vector<Xattr> xattrs, ReadXattrs(fd->get()));
  for (const Xattr& xattr : xattrs) {
    if (auto name = imaged::UnescapeXattrName(xattr.name)) names.push_back(std::move(*name));
  }
  return names;
}

Status UnionFs::SetXattr(const InodePtr& inode, const std::string& name, std::string_view value,
                         int flags) {
  RETURN_IF_ERROR(CopyUp(inode, CopyUpMode::kMetadata));
  const std::lock_guard change(inode->change_mutex);
  ASSIGN_OR_RETURN(const SharedFd fd, UpperFd(inode));
  std::optional<FsetidScope> fsetid;
  if (name.starts_with("system.posix_acl_")) fsetid.emplace();  // An ACL sets the mode.
  {
    const std::lock_guard lock(inode->mutex);
    inode->bare = false;
  }
  RETURN_IF_ERROR(
      strata::SetXattr(fd->get(), imaged::EscapeXattrName(name), value, flags));
  if (name == "system.posix_acl_default") {
    const bool present = strata::GetXattr(fd->get(), name).ok();
    const std::lock_guard lock(inode->mutex);
    inode->has_default_acl = present;
  }
  return Ok();
}

Status UnionFs::RemoveXattr(const InodePtr& inode, const std::string& name) {
  if (const auto value = GetXattr(inode, name); !value.ok()) {
    // An ACL that is not there may be removed, unlike other attributes.
    const bool absent_acl =
        value.error().sys_errno() == ENODATA && name.starts_with("system.posix_acl_");
    return absent_acl ? Ok() : Status(value.error());
  }
  RETURN_IF_ERROR(CopyUp(inode, CopyUpMode::kMetadata));
  const std::lock_guard change(inode->change_mutex);
  ASSIGN_OR_RETURN(const SharedFd fd, UpperFd(inode));
  RETURN_IF_ERROR(strata::RemoveXattr(fd->get(), imaged::EscapeXattrName(name)));
  if (name == "system.posix_acl_default") {
    const std::lock_guard lock(inode->mutex);
    inode->has_default_acl = false;
  }
  return Ok();
}

}  // namespace strata::layerfs
