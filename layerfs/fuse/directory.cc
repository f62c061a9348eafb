// The merged view of a directory: upper entries, then what is below and not hidden by them.
#include <dirent.h>
#include <fcntl.h>

#include <unordered_set>

#include "common/file_io.h"
#include "layerfs/fuse/overlay_format.h"
#include "layerfs/fuse/union_fs.h"

namespace strata::layerfs {
namespace {

using DirStream = std::unique_ptr<DIR, int (*)(DIR*)>;

Result<DirStream> OpenStream(int dir_fd) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(dir_fd, ".", O_RDONLY | O_DIRECTORY));
  DirStream stream(::fdopendir(fd.get()), ::closedir);
  if (stream == nullptr) return Errno("opendir");
  [[maybe_unused]] const int owned = fd.release();
  return stream;
}

// A character device may be a whiteout.
Result<bool> IsWhiteoutEntry(int dir_fd, const dirent& entry) {
  if (entry.d_type != DT_CHR && entry.d_type != DT_UNKNOWN) return false;
  struct stat st;
  if (::fstatat(dir_fd, entry.d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return true;  // Gone meanwhile.
    return Errno("stat");
  }
  return IsWhiteout(st);
}

}  // namespace

Result<std::vector<DirectoryEntry>> UnionFs::ReadDirectory(const InodePtr& dir) {
  std::vector<DirectoryEntry> entries;
  std::unordered_set<std::string> hidden;  // Names below that the upper decides about.
  UpperRef ref;
  {
    const std::lock_guard lock(dir->mutex);
    if (dir->unlinked) return entries;
    ref = dir->upper;
  }
  if (ref) {
    ASSIGN_OR_RETURN(const SharedFd dir_fd, upper_->Directory(ref));
    ASSIGN_OR_RETURN(const DirStream stream, OpenStream(dir_fd->get()));
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(stream.get());
      if (entry == nullptr && errno != 0) return Errno("readdir");
      if (entry == nullptr) break;
      std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      ASSIGN_OR_RETURN(const bool whiteout, IsWhiteoutEntry(dir_fd->get(), *entry));
      if (dir->lower) hidden.insert(name);
      if (!whiteout) entries.push_back({std::move(name), entry->d_type, 0});
    }
  }
  if (!dir->lower) return entries;
  RETURN_IF_ERROR(lower_->ReadDirectory(*dir->lower, [&](const imaged::ErofsDirEntry& entry) {
    std::string name(entry.name);
    if (hidden.empty() || !hidden.contains(name)) {
      entries.push_back({std::move(name), entry.type, entry.nid});
    }
    return true;
  }));
  return entries;
}

InodePtr UnionFs::ParentOf(const InodePtr& inode) {
  const std::shared_lock tree(tree_mutex_);
  return inode->parent == nullptr ? root_ : inode->parent;
}

Status UnionFs::SyncDirectory(const InodePtr& dir, bool data_only) {
  const UpperRef ref = RefOf(dir);
  if (!ref) return Ok();  // Nothing of the tree can be dirty.
  ASSIGN_OR_RETURN(const UniqueFd fd, upper_->OpenFile(ref, O_RDONLY | O_DIRECTORY));
  if ((data_only ? ::fdatasync(fd.get()) : ::fsync(fd.get())) != 0) return Errno("fsync");
  return Ok();
}

}  // namespace strata::layerfs
