// The merged view of a directory: upper entries, then what is below and not hidden by them.
#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <functional>

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

// The names below that the upper decides about. Kept as hashes; the upper is asked when one fits.
class HiddenNames {
 public:
  void Add(std::string_view name) { hashes_.push_back(std::hash<std::string_view>()(name)); }
  // After the last Add.
  void Finish(SharedFd upper_dir) {
    upper_dir_ = std::move(upper_dir);
    std::sort(hashes_.begin(), hashes_.end());
  }
  Result<bool> Holds(std::string_view name) const {
    const size_t hash = std::hash<std::string_view>()(name);
    if (!std::binary_search(hashes_.begin(), hashes_.end(), hash)) return false;
    struct stat st;
    const std::string text(name);
    if (::fstatat(upper_dir_->get(), text.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) return true;
    if (errno != ENOENT) return Errno("stat " + text);
    return false;
  }

 private:
  std::vector<size_t> hashes_;
  SharedFd upper_dir_;
};

}  // namespace

Status UnionFs::ReadDirectory(const InodePtr& dir,
                              const std::function<bool(const DirectoryEntry&)>& visit) {
  UpperRef ref;
  {
    const std::lock_guard lock(dir->mutex);
    if (dir->unlinked) return Ok();
    ref = dir->upper;
  }
  HiddenNames hidden;
  if (ref) {
    ASSIGN_OR_RETURN(const SharedFd dir_fd, upper_->Directory(ref));
    ASSIGN_OR_RETURN(const DirStream stream, OpenStream(dir_fd->get()));
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(stream.get());
      if (entry == nullptr && errno != 0) return Errno("readdir");
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      ASSIGN_OR_RETURN(const bool whiteout, IsWhiteoutEntry(dir_fd->get(), *entry));
      if (dir->lower) hidden.Add(name);
      if (!whiteout && !visit({std::string(name), entry->d_type, 0})) return Ok();
    }
    hidden.Finish(dir_fd);
  }
  if (!dir->lower) return Ok();
  Status failed = Ok();
  RETURN_IF_ERROR(lower_->ReadDirectory(*dir->lower, [&](const imaged::ErofsDirEntry& entry) {
    const Result<bool> is_hidden = hidden.Holds(entry.name);
    if (!is_hidden.ok()) failed = is_hidden.error();
    if (!is_hidden.ok() || *is_hidden) return is_hidden.ok();
    return visit({std::string(entry.name), entry.type, entry.nid});
  }));
  return failed;
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
