// Inodes of an earlier server, found again by what it recorded of them.
#include <dirent.h>
#include <fcntl.h>

#include <unordered_set>

#include "common/file_io.h"
#include "common/log.h"
#include "layerfs/fuse/union_fs.h"

namespace strata::layerfs {

// The names of some inodes of the tree, and of all its directories.
class UnionFs::TreeNames {
 public:
  static Result<TreeNames> Find(const LowerTree& lower, const std::unordered_set<Nid>& wanted) {
    TreeNames names(lower.root());
    std::vector<Nid> todo = {lower.root()};
    while (!todo.empty()) {
      const Nid dir = todo.back();
      todo.pop_back();
      RETURN_IF_ERROR(lower.ReadDirectory(dir, [&](const imaged::ErofsDirEntry& entry) {
        const bool is_directory = entry.type == DT_DIR;
        if (is_directory || wanted.contains(entry.nid)) {
          const bool first = names.names_[entry.nid].empty();
          names.names_[entry.nid].push_back({dir, std::string(entry.name)});
          if (is_directory && first) todo.push_back(entry.nid);
        }
        return true;
      }));
    }
    return names;
  }

  const std::vector<LowerName>& Of(Nid nid) const {
    static const std::vector<LowerName> kNone;
    const auto found = names_.find(nid);
    return found == names_.end() ? kNone : found->second;
  }

  // By its first name; "" for what has none.
  std::string PathOf(Nid nid) const {
    std::string path;
    while (nid != root_) {
      const std::vector<LowerName>& names = Of(nid);
      if (names.empty()) return "";
      path.insert(0, "/" + names.front().name);
      nid = names.front().dir;
    }
    return path.empty() ? "/" : path;
  }

 private:
  explicit TreeNames(Nid root) : root_(root) {}
  Nid root_;
  std::unordered_map<Nid, std::vector<LowerName>> names_;
};

Result<std::vector<InodePtr>> UnionFs::Restore(const std::vector<InodeIdentity>& identities) {
  std::unordered_set<Nid> wanted;
  for (const InodeIdentity& identity : identities) {
    if (identity.lower) wanted.insert(*identity.lower);
  }
  ASSIGN_OR_RETURN(const TreeNames names, TreeNames::Find(*lower_, wanted));
  std::vector<InodePtr> inodes(identities.size());
  // Upper ones first: the lookups of the others must find them.
  for (const bool upper : {true, false}) {
    for (size_t i = 0; i < identities.size(); ++i) {
      if (static_cast<bool>(identities[i].upper) != upper) continue;
      Result<InodePtr> inode =
          upper ? RestoreUpper(identities[i], names) : RestoreLower(identities[i], names);
      if (inode.ok()) {
        inodes[i] = std::move(*inode);
      } else {
        LOG_WARNING("an inode of the earlier server is gone: " + inode.error().message());
      }
    }
  }
  FindParents(inodes);
  return inodes;
}

Result<InodePtr> UnionFs::RestoreUpper(const InodeIdentity& identity, const TreeNames& names) {
  if (InodePtr known = inodes_.FindUpper(identity.upper.ino); known != nullptr) return known;
  ASSIGN_OR_RETURN(const SharedFd fd, upper_->OpenPath(identity.upper));
  struct stat st;
  if (::fstatat(fd->get(), "", &st, AT_EMPTY_PATH) != 0) return Errno("stat");
  if (st.st_ino != identity.upper.ino || (st.st_mode & S_IFMT) != identity.type) {
    return Error(Code::kCorrupt, "inode " + std::to_string(identity.upper.ino) + " is another one");
  }
  ASSIGN_OR_RETURN(const Marks marks, ReadMarks(fd->get(), identity.type));
  auto inode = std::make_shared<Inode>(identity.st_ino, identity.type, identity.lower);
  inode->upper = identity.upper;
  inode->metacopy = marks.metacopy;
  inode->impure = marks.impure;
  inode->has_default_acl = marks.has_default_acl;
  inode->bare = marks.bare;
  inode->parent = root_;  // FindParents knows better.
  if (identity.lower) inode->lower_path = names.PathOf(*identity.lower);
  // Directories keep a link until they are gone.
  inode->unlinked = st.st_nlink == 0;
  if (inode->unlinked) {
    inode->upper.pinned = fd;
    return inode;  // Its number may be used again: no name leads to it.
  }
  return inodes_.Enter(inode, /*by_lower=*/identity.lower == identity.st_ino);
}

Result<InodePtr> UnionFs::RestoreLower(const InodeIdentity& identity, const TreeNames& names) {
  if (!identity.lower) return Error(Code::kCorrupt, "an inode of nowhere");
  const Nid nid = *identity.lower;
  if (nid == lower_->root()) return root_;
  const std::unique_lock tree(tree_mutex_);
  RETURN_IF_ERROR(BuildAliasMap());
  for (const LowerName& name : names.Of(nid)) {
    ASSIGN_OR_RETURN(const InodePtr dir, LocateLowerDirectory(name.dir));
    if (dir == nullptr) continue;
    ASSIGN_OR_RETURN(const Entry entry, Lookup(dir, name.name));
    if (entry.inode == nullptr || entry.inode->lower != nid) continue;
    if (entry.inode->st_ino == identity.st_ino) return entry.inode;
  }
  if (const auto moved = redirected_.find(nid); moved != redirected_.end()) return moved->second;
  // No name leads to it any more.
  auto inode = std::make_shared<Inode>(identity.st_ino, identity.type, nid);
  inode->lower_path = names.PathOf(nid);
  inode->parent = root_;
  inode->unlinked = true;
  return inode;
}

// Directories in the upper know their parents by "..", which are restored too: the kernel holds the
// parents of what it holds.
void UnionFs::FindParents(const std::vector<InodePtr>& inodes) {
  const std::unique_lock tree(tree_mutex_);
  for (const InodePtr& inode : inodes) {
    if (inode == nullptr || !inode->IsDirectory() || inode == root_) continue;
    const UpperRef ref = RefOf(inode);
    if (!ref || inode->unlinked) continue;
    const auto fd = upper_->Directory(ref);
    struct stat st;
    if (!fd.ok() || ::fstatat((*fd)->get(), "..", &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    const InodePtr parent = inodes_.FindUpper(st.st_ino);
    if (parent != nullptr && parent != inode) inode->parent = parent;
  }
}

}  // namespace strata::layerfs
