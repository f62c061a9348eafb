// New names: files, directories, devices, symbolic links, hard links.
//
// A free name is created in place. A name under a whiteout is built in the work directory and moved
// over it, so that the lower entry does not show through in between.
#include <fcntl.h>
#include <sys/xattr.h>

#include "common/file_io.h"
#include "common/xattr.h"
#include "layerfs/fuse/overlay_format.h"
#include "layerfs/fuse/rights.h"
#include "layerfs/fuse/union_fs.h"

namespace strata::layerfs {
namespace {

constexpr char kDefaultAcl[] = "system.posix_acl_default";

Result<UniqueFd> OpenMade(int dir_fd, const std::string& name) {
  return OpenAt(dir_fd, name, O_PATH | O_NOFOLLOW);
}

}  // namespace

// Owner and mode as the kernel itself would give them to a file of `caller` in this directory; the
// attributes then.
Result<struct stat> UnionFs::FinishNew(int dir_fd, int fd, mode_t mode, const Caller& caller) {
  struct stat dir_st, st;
  if (::fstatat(dir_fd, "", &dir_st, AT_EMPTY_PATH) != 0) return Errno("stat");
  if (::fstatat(fd, "", &st, AT_EMPTY_PATH) != 0) return Errno("stat");
  const bool inherits = (dir_st.st_mode & S_ISGID) != 0;
  const gid_t gid = inherits ? dir_st.st_gid : caller.gid;
  const bool other_owner = st.st_uid != caller.uid || st.st_gid != gid;
  if (other_owner && ::fchownat(fd, "", caller.uid, gid, AT_EMPTY_PATH) != 0) {
    return Errno("chown");
  }
  mode_t special = S_ISLNK(st.st_mode) ? 0 : mode & (S_ISUID | S_ISGID | S_ISVTX);
  if (inherits && S_ISDIR(st.st_mode)) special |= S_ISGID;
  if (special != 0) {
    const FsetidScope fsetid;  // The change of owner has stripped what the caller asked for.
    RETURN_IF_ERROR(ChangeMode(fd, (st.st_mode & 0777) | special));
  }
  if ((other_owner || special != 0) && ::fstatat(fd, "", &st, AT_EMPTY_PATH) != 0) {
    return Errno("stat");
  }
  return st;
}

// Runs `make(dir, name)` in the work directory and moves the result over the whiteout at `name`.
// Entries of the work directory inherit as entries of `dir_fd` do.
Status UnionFs::ReplaceWhiteout(const InodePtr& dir, const std::string& name, int dir_fd,
                                bool is_directory,
                                const std::function<Status(int, const std::string&)>& make) {
  const std::string scratch_name = upper_->NewWorkName();
  if (::mkdirat(upper_->work_fd(), scratch_name.c_str(), 0700) != 0) return Errno("mkdir");
  const auto build = [&]() -> Status {
    ASSIGN_OR_RETURN(const UniqueFd scratch,
                     OpenAt(upper_->work_fd(), scratch_name, O_RDONLY | O_DIRECTORY));
    bool inherits_acl;
    {
      const std::lock_guard lock(dir->mutex);
      inherits_acl = dir->has_default_acl;
    }
    if (inherits_acl) {
      ASSIGN_OR_RETURN(const std::string acl, strata::GetXattr(dir_fd, kDefaultAcl));
      RETURN_IF_ERROR(strata::SetXattr(scratch.get(), kDefaultAcl, acl));
    }
    RETURN_IF_ERROR(make(scratch.get(), name));
    if (!is_directory) {
      if (::renameat(scratch.get(), name.c_str(), dir_fd, name.c_str()) != 0) {
        return Errno("rename");
      }
      return Ok();
    }
    ASSIGN_OR_RETURN(const UniqueFd made, OpenMade(scratch.get(), name));
    RETURN_IF_ERROR(strata::SetXattr(made.get(), kOpaqueXattr, "y"));
    if (::renameat2(scratch.get(), name.c_str(), dir_fd, name.c_str(), RENAME_EXCHANGE) != 0) {
      return Errno("rename");
    }
    return Ok();
  };
  Status status = build();
  upper_->RemoveFromWork(scratch_name);  // With the whiteout, when it was exchanged.
  return status;
}

Result<Entry> UnionFs::PlaceNew(const InodePtr& dir, const std::string& name, mode_t mode,
                                const Caller& caller, const Maker& make, UniqueFd* opened) {
  if (name.size() > 255) return Errno("create", ENAMETOOLONG);
  RETURN_IF_ERROR(CopyUp(dir, CopyUpMode::kMetadata));
  ASSIGN_OR_RETURN(const SharedFd dir_fd, UpperDirectory(dir));
  struct stat attributes = {};
  const auto finish = [&](Result<UniqueFd>& fd, int at, const std::string& made) -> Status {
    const auto finished = FinishNew(dir_fd->get(), fd->get(), mode, caller);
    if (!finished.ok()) {
      ::unlinkat(at, made.c_str(), S_ISDIR(mode) ? AT_REMOVEDIR : 0);
      return finished.error();
    }
    attributes = *finished;
    return Ok();
  };
  Result<UniqueFd> fd = make(dir_fd->get(), name);
  const auto adopt = [&]() {
    Result<Entry> entry = AdoptNew(dir, name, fd->get(), attributes);
    if (opened != nullptr) *opened = std::move(*fd);
    return entry;
  };
  if (fd.ok()) {
    RETURN_IF_ERROR(finish(fd, dir_fd->get(), name));
    return adopt();
  }
  if (fd.error().sys_errno() != EEXIST) return fd.error();
  struct stat st;
  if (::fstatat(dir_fd->get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return Errno("stat");
  if (!IsWhiteout(st)) return Errno(name, EEXIST);
  RETURN_IF_ERROR(ReplaceWhiteout(dir, name, dir_fd->get(), S_ISDIR(mode),
                                  [&](int at, const std::string& made) -> Status {
                                    fd = make(at, made);
                                    if (!fd.ok()) return fd.error();
                                    return finish(fd, at, made);
                                  }));
  if (::fstatat(fd->get(), "", &attributes, AT_EMPTY_PATH) != 0) return Errno("stat " + name);
  return adopt();
}

Result<Entry> UnionFs::MakeNode(const InodePtr& dir, const std::string& name, mode_t mode,
                                dev_t rdev, const Caller& caller, UniqueFd* opened) {
  if (S_ISCHR(mode) && rdev == makedev(0, 0)) return Errno("mknod " + name, EPERM);
  RETURN_IF_ERROR(CopyUp(dir, CopyUpMode::kMetadata));
  mode_t masked = mode;
  {
    // A default ACL takes the place of the umask.
    const std::lock_guard lock(dir->mutex);
    if (!dir->has_default_acl) masked &= ~caller.umask;
  }
  return PlaceNew(
      dir, name, mode, caller,
      [&](int at, const std::string& made) -> Result<UniqueFd> {
        if (S_ISREG(mode)) {
          return OpenAt(at, made, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, masked & 07777);
        }
        const int result = S_ISDIR(mode) ? ::mkdirat(at, made.c_str(), masked & 07777)
                                         : ::mknodat(at, made.c_str(), masked, rdev);
        if (result != 0) return Errno("create " + made);
        return OpenMade(at, made);
      },
      opened);
}

Result<Entry> UnionFs::FinishMade(const InodePtr& dir, const std::string& name, mode_t mode,
                                  const Caller& caller, UniqueFd* opened) {
  ASSIGN_OR_RETURN(Entry entry, Lookup(dir, name));
  if (entry.inode == nullptr) return Errno(name, ENOENT);
  const UpperRef ref = RefOf(entry.inode);
  if (!ref || entry.inode->type != (mode & S_IFMT)) return Errno(name, EEXIST);
  ASSIGN_OR_RETURN(const SharedFd dir_fd, UpperDirectory(dir));
  ASSIGN_OR_RETURN(const SharedFd fd, upper_->OpenPath(ref));
  RETURN_IF_ERROR(FinishNew(dir_fd->get(), fd->get(), mode, caller));
  if (opened != nullptr) {
    ASSIGN_OR_RETURN(*opened, upper_->OpenFile(ref, O_RDWR));
  }
  ASSIGN_OR_RETURN(entry.attributes, GetAttributes(entry.inode));
  return entry;
}

Result<Entry> UnionFs::MakeSymlink(const InodePtr& dir, const std::string& name,
                                   const std::string& target, const Caller& caller) {
  return PlaceNew(dir, name, S_IFLNK | 0777, caller,
                  [&](int at, const std::string& made) -> Result<UniqueFd> {
                    if (::symlinkat(target.c_str(), at, made.c_str()) != 0) {
                      return Errno("symlink " + made);
                    }
                    return OpenMade(at, made);
                  });
}

Result<Entry> UnionFs::MakeUnnamed(const InodePtr& dir, mode_t mode, const Caller& caller) {
  RETURN_IF_ERROR(CopyUp(dir, CopyUpMode::kMetadata));
  ASSIGN_OR_RETURN(const SharedFd dir_fd, UpperDirectory(dir));
  mode_t masked = mode;
  {
    const std::lock_guard lock(dir->mutex);
    if (!dir->has_default_acl) masked &= ~caller.umask;
  }
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(dir_fd->get(), ".", O_TMPFILE | O_RDWR, masked & 07777));
  ASSIGN_OR_RETURN(const struct stat st, FinishNew(dir_fd->get(), fd.get(), mode, caller));
  ASSIGN_OR_RETURN(Entry entry, AdoptNew(dir, "", fd.get(), st));
  const std::lock_guard lock(entry.inode->mutex);
  entry.inode->upper = UpperStore::Pin(entry.inode->upper, std::move(fd));
  entry.inode->unlinked = true;
  return entry;
}

Result<Entry> UnionFs::Link(const InodePtr& inode, const InodePtr& dir, const std::string& name) {
  if (name.size() > 255) return Errno("link", ENAMETOOLONG);
  RETURN_IF_ERROR(CopyUp(inode, CopyUpMode::kMetadata));
  RETURN_IF_ERROR(CopyUp(dir, CopyUpMode::kMetadata));
  ASSIGN_OR_RETURN(const SharedFd dir_fd, UpperDirectory(dir));
  const std::lock_guard change(inode->change_mutex);
  RETURN_IF_ERROR(SetFileRedirect(inode));
  ASSIGN_OR_RETURN(const SharedFd fd, upper_->OpenPath(RefOf(inode)));
  const auto link = [&](int at, const std::string& made) -> Status {
    if (::linkat(fd->get(), "", at, made.c_str(), AT_EMPTY_PATH) != 0) return Errno("link " + made);
    return Ok();
  };
  if (inode->lower) RETURN_IF_ERROR(MarkImpure(dir));
  if (Status status = link(dir_fd->get(), name); !status.ok()) {
    if (status.error().sys_errno() != EEXIST) return status.error();
    struct stat st;
    if (::fstatat(dir_fd->get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return Errno("stat");
    if (!IsWhiteout(st)) return Errno(name, EEXIST);
    RETURN_IF_ERROR(ReplaceWhiteout(dir, name, dir_fd->get(), false, link));
  }
  {
    const std::lock_guard lock(inode->mutex);
    if (inode->unlinked) {  // It was made without a name.
      inode->unlinked = false;
      const SharedFd pinned = inode->upper.pinned;  // Stays open until the change is recorded.
      ASSIGN_OR_RETURN(inode->upper, upper_->MakeRef(pinned->get(), inode->upper.ino));
      TellObserver(*inode);
    }
  }
  Entry entry{inode, {}};
  ASSIGN_OR_RETURN(entry.attributes, GetAttributes(inode));
  return entry;
}

}  // namespace strata::layerfs
