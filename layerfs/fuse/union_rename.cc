// rename(2): files move with their upper inode, directories with a redirect to what is below them.
#include <fcntl.h>

#include "common/file_io.h"
#include "common/xattr.h"
#include "layerfs/fuse/overlay_format.h"
#include "layerfs/fuse/union_fs.h"

namespace strata::layerfs {

// What the upper inode must say about itself before it appears as (to_dir, to).
Status UnionFs::PrepareMove(const InodePtr& inode, const InodePtr& to_dir, const std::string& to) {
  if (!inode->IsDirectory()) {
    if (inode->lower) RETURN_IF_ERROR(MarkImpure(to_dir));
    return SetFileRedirect(inode);
  }
  ASSIGN_OR_RETURN(const SharedFd fd, UpperDirectory(inode));
  if (inode->lower) {
    RETURN_IF_ERROR(MarkImpure(to_dir));
    return strata::SetXattr(fd->get(), kRedirectXattr, inode->lower_path);
  }
  ASSIGN_OR_RETURN(const bool covers, LowerHas(to_dir, to));
  if (!covers) return Ok();
  return strata::SetXattr(fd->get(), kOpaqueXattr, "y");
}

Status UnionFs::CheckMove(const Move& move, const Entry& source, const Entry& target) {
  if (source.inode == nullptr) return Errno("rename " + move.from, ENOENT);
  if ((move.flags & RENAME_EXCHANGE) != 0) {
    return target.inode != nullptr ? Ok() : Status(Errno("rename " + move.to, ENOENT));
  }
  if (target.inode == nullptr) return Ok();
  if ((move.flags & RENAME_NOREPLACE) != 0) return Errno("rename " + move.to, EEXIST);
  if (source.inode->IsDirectory() && !target.inode->IsDirectory()) {
    return Errno("rename " + move.to, ENOTDIR);
  }
  if (!source.inode->IsDirectory() && target.inode->IsDirectory()) {
    return Errno("rename " + move.to, EISDIR);
  }
  if (target.inode->IsDirectory()) return CheckEmpty(target.inode);
  return Ok();
}

void UnionFs::Moved(const InodePtr& inode, const InodePtr& dir, const std::string& name) {
  inode->parent = dir;
  inode->name = name;
  if (alias_map_built_ && inode->IsDirectory() && inode->lower) redirected_[*inode->lower] = inode;
}

Status UnionFs::Rename(const InodePtr& from_dir, const std::string& from, const InodePtr& to_dir,
                       const std::string& to, unsigned flags) {
  const Move move{from_dir, from, to_dir, to, flags};
  if ((flags & ~static_cast<unsigned>(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0) {
    return Errno("rename " + from, EINVAL);
  }
  if (to.size() > 255) return Errno("rename", ENAMETOOLONG);
  const bool exchange = (flags & RENAME_EXCHANGE) != 0;
  ASSIGN_OR_RETURN(const Entry source, Lookup(from_dir, from));
  ASSIGN_OR_RETURN(const Entry target, Lookup(to_dir, to));
  RETURN_IF_ERROR(CheckMove(move, source, target));
  if (source.inode == target.inode) return Ok();
  RETURN_IF_ERROR(CopyUp(from_dir, CopyUpMode::kMetadata));
  RETURN_IF_ERROR(CopyUp(to_dir, CopyUpMode::kMetadata));
  RETURN_IF_ERROR(CopyUp(source.inode, CopyUpMode::kMetadata));
  const bool linked_target =
      target.inode != nullptr && !target.inode->IsDirectory() && target.attributes.st_nlink > 1;
  if (target.inode != nullptr && (exchange || linked_target)) {
    RETURN_IF_ERROR(CopyUp(target.inode, CopyUpMode::kMetadata));
  }

  const bool directories =
      source.inode->IsDirectory() || (target.inode != nullptr && target.inode->IsDirectory());
  std::shared_lock shared(tree_mutex_, std::defer_lock);
  std::unique_lock exclusive(tree_mutex_, std::defer_lock);
  if (directories) {
    exclusive.lock();
  } else {
    shared.lock();
  }
  std::unique_lock source_change(source.inode->change_mutex, std::defer_lock);
  std::unique_lock<std::mutex> target_change;
  if (target.inode != nullptr) {
    target_change = std::unique_lock(target.inode->change_mutex, std::defer_lock);
    std::lock(source_change, target_change);
  } else {
    source_change.lock();
  }
  RETURN_IF_ERROR(PrepareMove(source.inode, to_dir, to));
  if (exchange) {
    RETURN_IF_ERROR(PrepareMove(target.inode, from_dir, from));
    ASSIGN_OR_RETURN(const SharedFd from_fd, UpperDirectory(from_dir));
    ASSIGN_OR_RETURN(const SharedFd to_fd, UpperDirectory(to_dir));
    if (::renameat2(from_fd->get(), from.c_str(), to_fd->get(), to.c_str(), RENAME_EXCHANGE) != 0) {
      return Errno("rename " + from);
    }
    Moved(target.inode, from_dir, from);
  } else {
    RETURN_IF_ERROR(RenameInUpper(move, source, target));
  }
  Moved(source.inode, to_dir, to);
  from_dir->changes.fetch_add(1, std::memory_order_release);
  to_dir->changes.fetch_add(1, std::memory_order_release);
  return Ok();
}

Status UnionFs::RenameInUpper(const Move& move, const Entry& source, const Entry& target) {
  ASSIGN_OR_RETURN(const bool needs_whiteout, LowerHas(move.from_dir, move.from));
  ASSIGN_OR_RETURN(const SharedFd from_fd, UpperDirectory(move.from_dir));
  ASSIGN_OR_RETURN(const SharedFd to_fd, UpperDirectory(move.to_dir));
  const char* from = move.from.c_str();
  const char* to = move.to.c_str();
  struct stat there;
  const bool exists = ::fstatat(to_fd->get(), to, &there, AT_SYMLINK_NOFOLLOW) == 0;
  if (!exists && errno != ENOENT) return Errno("stat " + move.to);

  UniqueFd held;
  if (exists && IsWhiteout(there) && source.inode->IsDirectory()) {
    // A directory cannot replace the whiteout: they change places, and the whiteout may be needed.
    if (::renameat2(from_fd->get(), from, to_fd->get(), to, RENAME_EXCHANGE) != 0) {
      return Errno("rename " + move.from);
    }
    if (!needs_whiteout && ::unlinkat(from_fd->get(), from, 0) != 0) return Errno("unlink");
  } else {
    if (exists && target.inode != nullptr) {
      ASSIGN_OR_RETURN(held, HoldLastName(target.inode, to_fd->get(), move.to));
    }
    const unsigned flags = needs_whiteout ? RENAME_WHITEOUT : 0;
    int moved = ::renameat2(from_fd->get(), from, to_fd->get(), to, flags);
    if (moved != 0 && (errno == ENOTEMPTY || errno == EEXIST) && target.inode != nullptr) {
      // Checked to be empty in the union: what is in the target are whiteouts. `held` keeps the
      // inode that shows its number.
      RETURN_IF_ERROR(MakeEmptyAndOpaque(target.inode, to_fd->get(), move.to));
      moved = ::renameat2(from_fd->get(), from, to_fd->get(), to, flags);
    }
    if (moved != 0) return Errno("rename " + move.from);
  }
  if (target.inode != nullptr) FinishRemoval(target.inode, std::move(held));
  return Ok();
}

}  // namespace strata::layerfs
