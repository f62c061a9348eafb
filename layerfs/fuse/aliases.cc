// The names of lower inodes that have several: found once, by a walk over the tree, when the first
// of them is copied up.
#include <dirent.h>
#include <fcntl.h>

#include <set>

#include "common/file_io.h"
#include "common/log.h"
#include "common/xattr.h"
#include "layerfs/fuse/overlay_format.h"
#include "layerfs/fuse/union_fs.h"

namespace strata::layerfs {

Status UnionFs::BuildAliasMap() {
  if (alias_map_built_) return Ok();
  std::vector<Nid> todo = {lower_->root()};
  Status failed = Ok();
  while (!todo.empty()) {
    const Nid dir = todo.back();
    todo.pop_back();
    RETURN_IF_ERROR(lower_->ReadDirectory(dir, [&](const imaged::ErofsDirEntry& entry) {
      if (entry.type == DT_DIR) {
        // A tree in which a directory has two names is corrupt, and may have no end.
        if (directory_names_.try_emplace(entry.nid, dir, std::string(entry.name)).second) {
          todo.push_back(entry.nid);
        }
        return true;
      }
      const auto inode = lower_->reader().GetInode(entry.nid);
      if (!inode.ok()) {
        failed = inode.error();
        return false;
      }
      if (inode->nlink > 1) aliases_.emplace(entry.nid, LowerName{dir, std::string(entry.name)});
      return true;
    }));
    RETURN_IF_ERROR(failed);
  }
  RETURN_IF_ERROR(FindRedirects(root_));
  alias_map_built_ = true;
  return Ok();
}

// Upper directories that are merged with a lower one of another place.
Status UnionFs::FindRedirects(const InodePtr& dir) {
  std::vector<std::string> names;
  RETURN_IF_ERROR(ReadDirectory(dir, [&](const DirectoryEntry& entry) {
    const bool may_be = entry.type == DT_DIR || entry.type == DT_UNKNOWN;
    if (may_be && entry.lower_ino == 0) names.push_back(entry.name);
    return true;
  }));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const Entry child, Lookup(dir, name));
    if (child.inode == nullptr || !child.inode->IsDirectory()) continue;
    if (child.inode->lower) {
      const auto place = directory_names_.find(*child.inode->lower);
      const bool moved = place == directory_names_.end() || !dir->lower ||
                         place->second.dir != *dir->lower || place->second.name != name;
      if (moved) redirected_[*child.inode->lower] = child.inode;
    }
    RETURN_IF_ERROR(FindRedirects(child.inode));
  }
  return Ok();
}

// The directory of the union in which lower directory `nid` is seen; null when it is nowhere.
Result<InodePtr> UnionFs::LocateLowerDirectory(Nid nid) {
  if (nid == lower_->root()) return root_->lower ? root_ : nullptr;
  if (const auto found = redirected_.find(nid); found != redirected_.end()) return found->second;
  const auto place = directory_names_.find(nid);
  if (place == directory_names_.end()) return InodePtr();
  ASSIGN_OR_RETURN(const InodePtr parent, LocateLowerDirectory(place->second.dir));
  if (parent == nullptr) return InodePtr();
  ASSIGN_OR_RETURN(const Entry entry, Lookup(parent, place->second.name));
  if (entry.inode == nullptr || !entry.inode->IsDirectory()) return InodePtr();
  return entry.inode->lower == nid ? entry.inode : InodePtr();
}

// Where `nid` still shows through.
Result<std::vector<UnionFs::Alias>> UnionFs::VisibleNames(Nid nid) {
  RETURN_IF_ERROR(BuildAliasMap());
  std::vector<Alias> names;
  const auto [first, last] = aliases_.equal_range(nid);
  for (auto alias = first; alias != last; ++alias) {
    ASSIGN_OR_RETURN(const InodePtr dir, LocateLowerDirectory(alias->second.dir));
    if (dir == nullptr) continue;
    if (const UpperRef ref = RefOf(dir)) {
      ASSIGN_OR_RETURN(const SharedFd fd, upper_->Directory(ref));
      struct stat st;
      if (::fstatat(fd->get(), alias->second.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) continue;
      if (errno != ENOENT) return Errno("stat " + alias->second.name);
    }
    names.push_back({dir, alias->second.name});
  }
  return names;
}

// With index=on, overlayfs keeps a copied-up hard link in <work_dir>/index under its origin, and
// links a name in the upper only when that name is written through. We expect every name in the
// upper: the missing ones are made, then the entry goes. So are those of a copy-up of ours that a
// crash cut short (PlaceCopy).
Status UnionFs::ConvertIndex(const std::string& index_dir) {
  DIR* stream = ::opendir(index_dir.c_str());
  if (stream == nullptr) return errno == ENOENT ? Ok() : Status(Errno("opendir " + index_dir));
  const std::unique_ptr<DIR, int (*)(DIR*)> closer(stream, ::closedir);
  const std::unique_lock tree(tree_mutex_);
  const int index_fd = ::dirfd(stream);
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(stream);
    if (entry == nullptr) return errno == 0 ? Ok() : Status(Errno("readdir " + index_dir));
    const std::string name = entry->d_name;
    struct stat st;
    if (::fstatat(index_fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return Errno("stat");
    if (S_ISDIR(st.st_mode) || IsWhiteout(st)) continue;  // Of nfs_export; not ours to judge.
    ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(index_fd, name, O_PATH | O_NOFOLLOW));
    auto origin = strata::GetXattr(fd.get(), kOriginXattr);
    const std::optional<Nid> nid = origin.ok() ? lower_->NidOfOrigin(*origin) : std::nullopt;
    if (!nid) {
      LOG_WARNING("index entry " + name + " belongs to another tree: left alone");
      continue;
    }
    ASSIGN_OR_RETURN(const std::vector<Alias> names, VisibleNames(*nid));
    for (const Alias& alias : names) {
      RETURN_IF_ERROR(CopyUpDirectoryLocked(alias.dir));
      RETURN_IF_ERROR(MarkImpure(alias.dir));
      ASSIGN_OR_RETURN(const SharedFd dir_fd, UpperDirectory(alias.dir));
      ASSIGN_OR_RETURN(const DirectoryTimes times, DirectoryTimes::Read(dir_fd->get()));
      if (::linkat(fd.get(), "", dir_fd->get(), alias.name.c_str(), AT_EMPTY_PATH) != 0) {
        return Errno("link " + alias.name);
      }
      times.Restore();
    }
    if (strata::GetXattr(fd.get(), kNlinkXattr).ok()) {
      RETURN_IF_ERROR(strata::RemoveXattr(fd.get(), kNlinkXattr));
    }
    if (::unlinkat(index_fd, name.c_str(), 0) != 0) return Errno("unlink " + name);
  }
}

}  // namespace strata::layerfs
