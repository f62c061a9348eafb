// Names that go: unlink and rmdir, with whiteouts over what is below.
#include <dirent.h>
#include <fcntl.h>

#include "common/file_io.h"
#include "common/log.h"
#include "common/xattr.h"
#include "layerfs/fuse/overlay_format.h"
#include "layerfs/fuse/union_fs.h"

namespace strata::layerfs {

// Descriptor of an upper inode that is about to lose its last name: somebody may still use it.
Result<UniqueFd> UnionFs::HoldLastName(const InodePtr& inode, int dir_fd,
                                       const std::string& name) const {
  struct stat st;
  if (::fstatat(dir_fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    // Only in the tree, or (renamed over) not there at all.
    if (errno == ENOENT) return UniqueFd();
    return Errno("stat " + name);
  }
  if (IsWhiteout(st) || (!inode->IsDirectory() && st.st_nlink > 1)) return UniqueFd();
  return OpenAt(dir_fd, name, O_PATH | O_NOFOLLOW);
}

// `held`: from HoldLastName; invalid when the inode has other upper names. REQUIRES: for a
// directory, tree_mutex_ held exclusively.
void UnionFs::FinishRemoval(const InodePtr& inode, UniqueFd held) {
  uint64_t freed_ino = 0;
  if (inode->IsDirectory() && inode->lower) redirected_.erase(*inode->lower);
  {
    const std::lock_guard lock(inode->mutex);
    if (held.valid()) {
      freed_ino = inode->upper.ino;
      inode->upper = UpperStore::Pin(inode->upper, std::move(held));
      TellObserver(*inode);
    }
    if (freed_ino != 0 || !inode->upper) inode->unlinked = true;
  }
  if (freed_ino == 0) return;
  inodes_.DropUpper(freed_ino);
  if (inode->IsDirectory()) upper_->DropDirectory(freed_ino);
}

// An upper directory that holds only whiteouts, or anything else that cannot simply be renamed
// over: a whiteout takes its place in one step, then it goes.
Status UnionFs::SwapForWhiteout(int dir_fd, const std::string& name) {
  const std::string work_name = upper_->NewWorkName();
  RETURN_IF_ERROR(upper_->MakeWhiteout(upper_->work_fd(), work_name));
  const bool swapped =
      ::renameat2(upper_->work_fd(), work_name.c_str(), dir_fd, name.c_str(), RENAME_EXCHANGE) == 0;
  const Error error = Errno("whiteout " + name);
  upper_->RemoveFromWork(work_name);
  return swapped ? Ok() : Status(error);
}

Status UnionFs::RemoveUpperName(const InodePtr& dir, const std::string& name, bool is_directory,
                                bool needs_whiteout) {
  ASSIGN_OR_RETURN(const SharedFd dir_fd, UpperDirectory(dir));
  const int at = dir_fd->get();
  if (!needs_whiteout) {
    if (::unlinkat(at, name.c_str(), is_directory ? AT_REMOVEDIR : 0) == 0) return Ok();
    if (!is_directory || errno != ENOTEMPTY) return Errno("remove " + name);
    // Checked to be empty in the union: what is there are whiteouts.
    RETURN_IF_ERROR(SwapForWhiteout(at, name));
    if (::unlinkat(at, name.c_str(), 0) != 0) return Errno("remove " + name);
    return Ok();
  }
  if (is_directory) {
    Status status = upper_->MakeWhiteout(at, name);
    if (status.ok() || status.error().sys_errno() != EEXIST) return status;
    return SwapForWhiteout(at, name);
  }
  Status status = upper_->MakeWhiteout(at, name);
  if (status.ok() || status.error().sys_errno() != EEXIST) return status;
  const std::string work_name = upper_->NewWorkName();
  RETURN_IF_ERROR(upper_->MakeWhiteout(upper_->work_fd(), work_name));
  if (::renameat(upper_->work_fd(), work_name.c_str(), at, name.c_str()) != 0) {
    const Error error = Errno("whiteout " + name);
    upper_->RemoveFromWork(work_name);
    return error;
  }
  return Ok();
}

Status UnionFs::Unlink(const InodePtr& dir, const std::string& name) {
  ASSIGN_OR_RETURN(const Entry entry, Lookup(dir, name));
  if (entry.inode == nullptr) return Errno("unlink " + name, ENOENT);
  if (entry.inode->IsDirectory()) return Errno("unlink " + name, EISDIR);
  RETURN_IF_ERROR(CopyUp(dir, CopyUpMode::kMetadata));
  // So that the other names of a lower hard link count one less.
  if (!RefOf(entry.inode) && entry.attributes.st_nlink > 1) {
    RETURN_IF_ERROR(CopyUp(entry.inode, CopyUpMode::kMetadata));
  }
  ASSIGN_OR_RETURN(const bool needs_whiteout, LowerHas(dir, name));
  const std::lock_guard change(entry.inode->change_mutex);
  ASSIGN_OR_RETURN(const SharedFd dir_fd, UpperDirectory(dir));
  ASSIGN_OR_RETURN(UniqueFd held, HoldLastName(entry.inode, dir_fd->get(), name));
  RETURN_IF_ERROR(RemoveUpperName(dir, name, false, needs_whiteout));
  dir->changes.fetch_add(1, std::memory_order_release);
  FinishRemoval(entry.inode, std::move(held));
  return Ok();
}

Status UnionFs::CheckEmpty(const InodePtr& dir) {
  bool empty = true;
  RETURN_IF_ERROR(ReadDirectory(dir, [&](const DirectoryEntry&) { return empty = false; }));
  return empty ? Ok() : Status(Errno("remove a directory", ENOTEMPTY));
}

Status UnionFs::RemoveDirectory(const InodePtr& dir, const std::string& name) {
  ASSIGN_OR_RETURN(const Entry entry, Lookup(dir, name));
  if (entry.inode == nullptr) return Errno("rmdir " + name, ENOENT);
  if (!entry.inode->IsDirectory()) return Errno("rmdir " + name, ENOTDIR);
  RETURN_IF_ERROR(CheckEmpty(entry.inode));
  RETURN_IF_ERROR(CopyUp(dir, CopyUpMode::kMetadata));
  ASSIGN_OR_RETURN(const bool needs_whiteout, LowerHas(dir, name));
  // No copy-up below or of this directory may come in between.
  const std::unique_lock tree(tree_mutex_);
  const std::lock_guard change(entry.inode->change_mutex);
  ASSIGN_OR_RETURN(const SharedFd dir_fd, UpperDirectory(dir));
  ASSIGN_OR_RETURN(UniqueFd held, HoldLastName(entry.inode, dir_fd->get(), name));
  RETURN_IF_ERROR(RemoveUpperName(dir, name, true, needs_whiteout));
  dir->changes.fetch_add(1, std::memory_order_release);
  FinishRemoval(entry.inode, std::move(held));
  return Ok();
}

// Prepares an empty merged directory for being renamed over: nothing shows through it, and it holds
// no whiteouts. REQUIRES: `inode` has an upper directory at (dir_fd, name).
Status UnionFs::MakeEmptyAndOpaque(const InodePtr& inode, int dir_fd, const std::string& name) {
  const std::string work_name = upper_->NewWorkName();
  ASSIGN_OR_RETURN(const struct stat st, GetAttributes(inode));
  if (::mkdirat(upper_->work_fd(), work_name.c_str(), 0700) != 0) return Errno("mkdir");
  const auto swap = [&]() -> Status {
    ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(upper_->work_fd(), work_name, O_PATH));
    RETURN_IF_ERROR(strata::SetXattr(fd.get(), kOpaqueXattr, "y"));
    if (::fchownat(fd.get(), "", st.st_uid, st.st_gid, AT_EMPTY_PATH) != 0) return Errno("chown");
    RETURN_IF_ERROR(ChangeMode(fd.get(), st.st_mode & 07777));
    if (::renameat2(upper_->work_fd(), work_name.c_str(), dir_fd, name.c_str(), RENAME_EXCHANGE) !=
        0) {
      return Errno("clear " + name);
    }
    struct stat fresh;
    if (::fstatat(fd.get(), "", &fresh, AT_EMPTY_PATH) != 0) return Errno("stat");
    ASSIGN_OR_RETURN(const UpperRef ref, upper_->MakeRef(fd.get(), fresh.st_ino));
    const uint64_t old_ino = RefOf(inode).ino;
    inodes_.DropUpper(old_ino);
    upper_->DropDirectory(old_ino);
    inodes_.AddUpper(inode, ref.ino);
    const std::lock_guard lock(inode->mutex);
    inode->upper = ref;
    TellObserver(*inode);
    return Ok();
  };
  Status status = swap();
  upper_->RemoveFromWork(work_name);
  return status;
}

}  // namespace strata::layerfs
