// Copy-up: a lower inode gets its counterpart in the upper.
//
// Order of one copy-up, so that a crash leaves either the lower inode or a complete upper one:
// temporary in the work directory, data, fdatasync, owner, attributes, mode, times, rename. What a
// crash leaves in the work directory is removed at the next start. The directory is not synced: a
// crash before that shows the lower inode, which says the same, and whoever syncs the upper one
// syncs the rename with it (journals are in order; tests/crash).
#include <fcntl.h>
#include <sys/xattr.h>

#include "common/copy_data.h"
#include "common/file_io.h"
#include "common/log.h"
#include "common/xattr.h"
#include "layerfs/fuse/overlay_format.h"
#include "layerfs/fuse/rights.h"
#include "layerfs/fuse/union_fs.h"

namespace strata::layerfs {
namespace {

Status SetTimes(int fd, const struct stat& st) {
  const timespec times[2] = {st.st_atim, st.st_mtim};
  return ChangeTimes(fd, times);
}

// The mode comes after the owner and the data, both of which strip set-id bits.
Status SetMode(int fd, mode_t mode) {
  std::optional<FsetidScope> fsetid;
  if ((mode & S_ISGID) != 0) fsetid.emplace();
  return ChangeMode(fd, mode & 07777);
}

Status CopyXattrs(const std::vector<Xattr>& xattrs, int fd) {
  for (const Xattr& xattr : xattrs) {
    RETURN_IF_ERROR(strata::SetXattr(fd, imaged::EscapeXattrName(xattr.name), xattr.value));
  }
  return Ok();
}

}  // namespace

Status UnionFs::CopyUp(const InodePtr& inode, CopyUpMode mode, SharedFd* made) {
  if (inode->IsDirectory()) {
    if (RefOf(inode)) return Ok();
    const std::shared_lock tree(tree_mutex_);
    return CopyUpDirectoryLocked(inode, made);
  }
  bool has_upper;
  {
    const std::lock_guard lock(inode->mutex);
    has_upper = static_cast<bool>(inode->upper);
    if (has_upper && (!inode->metacopy || mode == CopyUpMode::kMetadata)) return Ok();
  }
  if (!has_upper) {
    ASSIGN_OR_RETURN(const struct stat st, lower_->Stat(*inode->lower));
    if (st.st_nlink > 1) {
      const std::unique_lock tree(tree_mutex_);
      RETURN_IF_ERROR(CopyUpFileLocked(inode, CopyUpMode::kMetadata, made));
    }
  }
  const std::shared_lock tree(tree_mutex_);
  return CopyUpFileLocked(inode, mode, made);
}

Status UnionFs::CopyUpDirectoryLocked(const InodePtr& inode, SharedFd* made) {
  if (RefOf(inode)) return Ok();
  RETURN_IF_ERROR(CopyUpDirectoryLocked(inode->parent));
  const std::lock_guard change(inode->change_mutex);
  if (RefOf(inode)) return Ok();
  return CopyUpOne(inode, CopyUpMode::kMetadata, {{inode->parent, inode->name}}, made);
}

Status UnionFs::CopyUpFileLocked(const InodePtr& inode, CopyUpMode mode, SharedFd* made) {
  bool in_tree;
  {
    const std::lock_guard lock(inode->mutex);
    in_tree = !inode->upper && !inode->unlinked;
  }
  std::vector<Alias> names;
  if (in_tree) {
    ASSIGN_OR_RETURN(const struct stat st, lower_->Stat(*inode->lower));
    if (st.st_nlink > 1) {
      ASSIGN_OR_RETURN(names, VisibleNames(*inode->lower));
    }
    if (names.empty()) names.push_back({inode->parent, inode->name});
    for (const Alias& alias : names) RETURN_IF_ERROR(CopyUpDirectoryLocked(alias.dir));
  }
  const std::lock_guard change(inode->change_mutex);
  {
    const std::lock_guard lock(inode->mutex);
    if (inode->upper && (!inode->metacopy || mode == CopyUpMode::kMetadata)) return Ok();
  }
  if (RefOf(inode)) return CopyUpDataInPlace(inode, mode);
  return CopyUpOne(inode, mode, names, made);
}

// Overlayfs resolves data of a file that is not at its lower place by the absolute lower path.
Result<std::string> UnionFs::LowerPathOf(const Inode& inode) const {
  if (!inode.lower_path.empty()) return inode.lower_path;
  if (!inode.parent->lower) return Error(Code::kInternal, "no lower path", EIO);
  return inode.parent->LowerPathOf(inode.name);
}

Status UnionFs::WriteContent(Nid nid, int fd) {
  ASSIGN_OR_RETURN(const struct stat st, lower_->Stat(nid));
  Result<LowerTree::Content> opened = lower_->OpenContent(nid, O_RDONLY);
  if (!opened.ok() && IsDamagedContent(opened.error())) {
    RETURN_IF_ERROR(lower_->ProvideContent(nid), opened.error().message());
    opened = lower_->OpenContent(nid, O_RDONLY);
  }
  if (!opened.ok()) return opened.error();
  const LowerTree::Content& content = *opened;
  if (content.fd.valid()) {
    RETURN_IF_ERROR(CopyData(content.fd.get(), fd, static_cast<uint64_t>(st.st_size)));
  } else {
    RETURN_IF_ERROR(PWriteAll(fd, content.bytes, 0));
  }
  if (::fdatasync(fd) != 0) return Errno("fdatasync");
  return Ok();
}

// The complete copy of `inode`, under `work_name` in the work directory.
Result<UniqueFd> UnionFs::BuildCopy(const Inode& inode, CopyUpMode mode, bool redirect,
                                    const std::string& work_name) {
  const Nid nid = *inode.lower;
  const int work = upper_->work_fd();
  const char* name = work_name.c_str();
  RETURN_IF_ERROR(lower_->CheckIds(nid));
  ASSIGN_OR_RETURN(const struct stat st, lower_->Stat(nid));
  ASSIGN_OR_RETURN(const std::vector<Xattr> xattrs, lower_->GetXattrs(nid));
  UniqueFd fd;
  bool metacopy = false;
  mode_t made_with = 0600;
  if (S_ISREG(st.st_mode)) {
    made_with = st.st_mode & 0777;
    ASSIGN_OR_RETURN(fd, OpenAt(work, work_name, O_RDWR | O_CREAT | O_EXCL, made_with));
    metacopy = mode == CopyUpMode::kMetadata && st.st_size > 0;
    if (metacopy) {
      if (::ftruncate(fd.get(), st.st_size) != 0) return Errno("truncate");
    } else if (mode != CopyUpMode::kEmpty && st.st_size > 0) {
      RETURN_IF_ERROR(WriteContent(nid, fd.get()));
    }
  } else {
    int made;
    if (S_ISDIR(st.st_mode)) {
      made = ::mkdirat(work, name, 0700);
    } else if (S_ISLNK(st.st_mode)) {
      ASSIGN_OR_RETURN(const std::string target, lower_->ReadLink(nid));
      made = ::symlinkat(target.c_str(), work, name);
    } else {
      made = ::mknodat(work, name, (st.st_mode & S_IFMT) | 0600, st.st_rdev);
    }
    if (made != 0) return Errno("create a copy");
    ASSIGN_OR_RETURN(fd, OpenAt(work, work_name, O_PATH | O_NOFOLLOW));
  }
  if (::fchownat(fd.get(), "", st.st_uid, st.st_gid, AT_EMPTY_PATH) != 0) return Errno("chown");
  RETURN_IF_ERROR(CopyXattrs(xattrs, fd.get()));
  if (!S_ISLNK(st.st_mode) && made_with != (st.st_mode & 07777)) {
    RETURN_IF_ERROR(SetMode(fd.get(), st.st_mode));
  }
  // Symbolic links and devices of other file systems may take no trusted attribute: the origin is
  // only for stable numbers.
  if (Status status = strata::SetXattr(fd.get(), kOriginXattr, lower_->Origin(nid));
      !status.ok() && status.error().sys_errno() != EOPNOTSUPP) {
    return status.error();
  }
  if (metacopy) {
    RETURN_IF_ERROR(strata::SetXattr(fd.get(), kMetacopyXattr, ""));
    if (redirect) {
      ASSIGN_OR_RETURN(const std::string path, LowerPathOf(inode));
      RETURN_IF_ERROR(strata::SetXattr(fd.get(), kRedirectXattr, path));
    }
  }
  RETURN_IF_ERROR(SetTimes(fd.get(), st));
  return fd;
}

// Gives the copy in the work directory its names. With several, it is first entered in overlayfs's
// index: so an opening of the union that follows a crash finds it, and makes the names that are
// missing (ConvertIndex). `*linked`: the directories of the names that were made.
Status UnionFs::PlaceCopy(const Inode& inode, const std::string& work_name,
                          const std::vector<Alias>& names, std::vector<SharedFd>* linked) {
  int from = upper_->work_fd();
  std::string from_name = work_name;
  const bool several = names.size() > 1;
  if (several) {
    ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(from, work_name, O_PATH | O_NOFOLLOW));
    ASSIGN_OR_RETURN(const struct stat st, lower_->Stat(*inode.lower));
    RETURN_IF_ERROR(
        strata::SetXattr(fd.get(), kNlinkXattr, EncodeLinkCount(names.size(), st.st_nlink)));
    from_name = IndexName(lower_->Origin(*inode.lower));
    ASSIGN_OR_RETURN(from, upper_->MoveToIndex(work_name, from_name));
  }
  for (const Alias& alias : names) {
    RETURN_IF_ERROR(MarkImpure(alias.dir));
    ASSIGN_OR_RETURN(const SharedFd dir_fd, UpperDirectory(alias.dir));
    ASSIGN_OR_RETURN(const DirectoryTimes times, DirectoryTimes::Read(dir_fd->get()));
    const char* name = alias.name.c_str();
    const int placed =
        several ? ::linkat(from, from_name.c_str(), dir_fd->get(), name, 0)
                : ::renameat2(from, from_name.c_str(), dir_fd->get(), name, RENAME_NOREPLACE);
    if (placed != 0) return Errno("copy up " + alias.name);
    times.Restore();
    linked->push_back(dir_fd);
  }
  if (several) {
    upper_->RemoveFromIndex(from_name);
    ASSIGN_OR_RETURN(const UniqueFd fd,
                     OpenAt(linked->back()->get(), names.back().name, O_PATH | O_NOFOLLOW));
    RETURN_IF_ERROR(strata::RemoveXattr(fd.get(), kNlinkXattr));
  }
  return Ok();
}

// REQUIRES: change_mutex held, the directories of `names` copied up.
Status UnionFs::CopyUpOne(const InodePtr& inode, CopyUpMode mode, const std::vector<Alias>& names,
                          SharedFd* made) {
  const std::string work_name = upper_->NewWorkName();
  Result<UniqueFd> built = BuildCopy(*inode, mode, names.size() > 1, work_name);
  if (!built.ok()) {
    upper_->RemoveFromWork(work_name);
    return built.error();
  }
  bool unlinked;
  {
    const std::lock_guard lock(inode->mutex);
    unlinked = inode->unlinked;
  }
  std::vector<SharedFd> linked;  // Of names[0 .. linked.size() - 1].
  const auto publish = [&]() -> Status {
    struct stat st;
    if (::fstat(built->get(), &st) != 0) return Errno("stat");
    ASSIGN_OR_RETURN(UpperRef ref, upper_->MakeRef(built->get(), st.st_ino));
    if (unlinked) {
      if (::unlinkat(upper_->work_fd(), work_name.c_str(), 0) != 0) return Errno("unlink");
      ref = UpperStore::Pin(ref, std::move(*built));
    } else {
      // From the rename on, lookups find the upper inode: they must end at this Inode.
      inodes_.DropUpper(st.st_ino);
      inodes_.AddUpper(inode, st.st_ino);
      RETURN_IF_ERROR(PlaceCopy(*inode, work_name, names, &linked));
    }
    bool has_acl = false;
    if (inode->IsDirectory()) {
      has_acl = strata::GetXattr(built->get(), "system.posix_acl_default").ok();
    }
    const std::lock_guard lock(inode->mutex);
    inode->upper = std::move(ref);
    // The open files of an empty one keep their place too: only who writes begins an epoch.
    inode->metacopy = inode->IsRegular() && mode == CopyUpMode::kMetadata &&
                      (st.st_size > 0 || inode->open != nullptr);
    inode->has_default_acl = has_acl;
    TellObserver(*inode);
    ReplaceData(inode.get());
    return Ok();
  };
  if (Status status = publish(); !status.ok()) {
    for (size_t i = 0; i < linked.size(); ++i) {
      if (::unlinkat(linked[i]->get(), names[i].name.c_str(),
                     inode->IsDirectory() ? AT_REMOVEDIR : 0) != 0) {
        LOG_ERROR("cannot take back a copy-up: " + Errno(names[i].name).message());
      }
    }
    upper_->RemoveFromWork(work_name);
    if (names.size() > 1) upper_->RemoveFromIndex(IndexName(lower_->Origin(*inode->lower)));
    struct stat st;
    if (built->valid() && ::fstat(built->get(), &st) == 0) inodes_.DropUpper(st.st_ino);
    return status;
  }
  for (const Alias& alias : names) alias.dir->changes.fetch_add(1, std::memory_order_release);
  if (made != nullptr && built->valid()) {
    *made = std::make_shared<const UniqueFd>(std::move(*built));
  }
  return Ok();
}

// Open files keep the lower data: whoever opens the file from now on needs another node.
// REQUIRES: inode->mutex held since the data's place changed.
void UnionFs::ReplaceData(Inode* inode) {
  if (!inode->IsRegular() || inode->metacopy || inode->open == nullptr) return;
  inode->open.reset();  // Its files keep it.
  inode->epoch.fetch_add(1, std::memory_order_release);
}

// A metadata-only copy gets its data. The mark goes last: until then the data counts as lower.
Status UnionFs::CopyUpDataInPlace(const InodePtr& inode, CopyUpMode mode) {
  const UpperRef ref = RefOf(inode);
  ASSIGN_OR_RETURN(const UniqueFd fd, upper_->OpenFile(ref, O_RDWR));
  struct stat before;
  if (::fstat(fd.get(), &before) != 0) return Errno("stat");
  const auto capability = strata::GetXattr(fd.get(), "security.capability");
  if (mode == CopyUpMode::kEmpty) {
    if (::ftruncate(fd.get(), 0) != 0) return Errno("truncate");
  } else {
    RETURN_IF_ERROR(WriteContent(*inode->lower, fd.get()));
    // Writing stripped what only the application's own write may strip.
    if (capability.ok()) {
      RETURN_IF_ERROR(strata::SetXattr(fd.get(), "security.capability", *capability));
    }
    RETURN_IF_ERROR(SetMode(fd.get(), before.st_mode));
  }
  RETURN_IF_ERROR(SetTimes(fd.get(), before));
  RETURN_IF_ERROR(strata::RemoveXattr(fd.get(), kMetacopyXattr));
  const std::lock_guard lock(inode->mutex);
  inode->metacopy = false;
  ReplaceData(inode.get());
  return Ok();
}

// Before a metadata-only copy leaves its lower place or gets another name, it must say where its
// data is, by the path from the tree's root.
Status UnionFs::SetFileRedirect(const InodePtr& inode) {
  UpperRef ref;
  {
    const std::lock_guard lock(inode->mutex);
    if (!inode->metacopy) return Ok();
    ref = inode->upper;
  }
  ASSIGN_OR_RETURN(const struct stat lower_st, lower_->Stat(*inode->lower));
  if (lower_st.st_size == 0) return Ok();
  ASSIGN_OR_RETURN(const SharedFd fd, upper_->OpenPath(ref));
  auto redirect = strata::GetXattr(fd->get(), kRedirectXattr);
  if (!redirect.ok() && redirect.error().code() != Code::kNotFound) return redirect.error();
  if (redirect.ok() && redirect->starts_with('/')) return Ok();
  std::string path;
  if (redirect.ok() && inode->lower_path.empty()) {
    path = inode->parent->LowerPathOf(*redirect);
  } else {
    ASSIGN_OR_RETURN(path, LowerPathOf(*inode));
  }
  return strata::SetXattr(fd->get(), kRedirectXattr, path);
}

// Overlayfs looks for entries with an origin only in directories that say so.
Status UnionFs::MarkImpure(const InodePtr& dir) {
  {
    const std::lock_guard lock(dir->mutex);
    if (dir->impure) return Ok();
  }
  ASSIGN_OR_RETURN(const SharedFd fd, UpperDirectory(dir));
  RETURN_IF_ERROR(strata::SetXattr(fd->get(), kImpureXattr, "y"));
  const std::lock_guard lock(dir->mutex);
  dir->impure = true;
  return Ok();
}

}  // namespace strata::layerfs
