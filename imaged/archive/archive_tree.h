// ArchiveTree: builds a layer's Tree from entries in the order of an archive, with tar's rules: a
// later entry replaces an earlier one, a directory that comes again only changes its attributes,
// parents that are missing are made. Paths are resolved literally: no symbolic link is followed, so
// no entry can reach outside of what its path says.
//
// `base` is what the layer will lie on: the root and a missing parent then take the base's
// attributes, and a hard link may name a file of the base (which is copied into the layer, as a
// copy-up would).
//
// Every error names the entry. Used by one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "imaged/manifest/tree.h"

namespace strata::imaged {

// The components of an archive's path: a leading "/" and "." components are left out, as GNU tar
// does; empty for the root. kInvalidArgument for "..".
Result<std::vector<std::string_view>> SplitArchivePath(std::string_view path);

class ArchiveTree {
 public:
  using Path = std::vector<std::string_view>;

  ArchiveTree(const TreeLimits& limits, const Tree* base);

  // Puts `inode` at `path`. kInvalidArgument: the root as a file, a parent that is no directory, or
  // what CheckInode refuses.
  Result<InodeIndex> Add(const Path& path, Inode inode);
  // Gives the file at `target` a second name.
  Status AddHardLink(const Path& path, const Path& target);
  // Hides what lies below the layer at `path`.
  Status AddWhiteout(const Path& path);
  // Hides what lies below the layer in the directory `path`.
  Status MakeOpaque(const Path& path);

  const Tree& tree() const { return tree_; }
  Inode& mutable_inode(InodeIndex index) { return tree_.mutable_inode(index); }
  Tree Take() && { return std::move(tree_); }

 private:
  // The directory that holds the last component.
  Result<InodeIndex> ParentOf(const Path& path) { return Directory(path, path.size() - 1); }
  // The directory of the first `depth` components, made when it is missing.
  Result<InodeIndex> Directory(const Path& path, size_t depth);
  // The same place in the base; nullopt when there is none.
  std::optional<InodeIndex> InBase(const Path& path, size_t depth) const;
  Result<InodeIndex> MakeParent(InodeIndex parent, const Path& path, size_t depth);
  Result<InodeIndex> CopyFromBase(const Path& path);
  Status Replace(InodeIndex parent, std::string_view name, InodeIndex inode);

  Tree tree_;
  const Tree* base_;
};

}  // namespace strata::imaged
