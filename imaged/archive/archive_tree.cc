#include "imaged/archive/archive_tree.h"

#include <utility>

#include "common/printable.h"

namespace strata::imaged {
namespace {

std::string Join(const ArchiveTree::Path& path, size_t depth) {
  std::string joined;
  for (size_t i = 0; i < depth; ++i) {
    if (i > 0) joined += '/';
    joined += path[i];
  }
  return Printable(joined);
}

}  // namespace

Result<std::vector<std::string_view>> SplitArchivePath(std::string_view path) {
  std::vector<std::string_view> components;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view component = path.substr(0, slash);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    if (component.empty() || component == ".") continue;
    if (component == "..") return Error(Code::kInvalidArgument, "'..' in its path is refused");
    components.push_back(component);
  }
  return components;
}

ArchiveTree::ArchiveTree(const TreeLimits& limits, const Tree* base) : tree_(limits), base_(base) {
  if (base == nullptr) return;
  const Inode& from = base->inode(Tree::kRoot);
  Inode& root = tree_.mutable_inode(Tree::kRoot);
  root.mode = from.mode;
  root.uid = from.uid;
  root.gid = from.gid;
  root.mtime_s = from.mtime_s;
  root.mtime_ns = from.mtime_ns;
  root.xattrs = from.xattrs;
}

std::optional<InodeIndex> ArchiveTree::InBase(const Path& path, size_t depth) const {
  if (base_ == nullptr) return std::nullopt;
  std::optional<InodeIndex> index = Tree::kRoot;
  for (size_t i = 0; i < depth && index; ++i) index = base_->Lookup(*index, path[i]);
  return index;
}

Result<InodeIndex> ArchiveTree::MakeParent(InodeIndex parent, const Path& path, size_t depth) {
  Inode inode;
  inode.mode = S_IFDIR | 0755;
  if (const auto below = InBase(path, depth)) {
    const Inode& existing = base_->inode(*below);
    if (!existing.IsDirectory()) {
      return Error(Code::kInvalidArgument,
                   "its parent '" + Join(path, depth) + "' is no directory in the base image");
    }
    inode = CopyWithoutEntries(existing);
  }
  ASSIGN_OR_RETURN(const InodeIndex made, tree_.AddInode(std::move(inode)));
  RETURN_IF_ERROR(tree_.Link(parent, path[depth - 1], made));
  return made;
}

Result<InodeIndex> ArchiveTree::Directory(const Path& path, size_t depth) {
  InodeIndex index = Tree::kRoot;
  for (size_t i = 0; i < depth; ++i) {
    const std::optional<InodeIndex> next = tree_.Lookup(index, path[i]);
    if (!next) {
      ASSIGN_OR_RETURN(index, MakeParent(index, path, i + 1));
    } else if (tree_.inode(*next).IsWhiteout()) {
      // A whiteout first, then something below: the old directory is hidden, a new one begins.
      Inode inode;
      inode.mode = S_IFDIR | 0755;
      inode.opaque = true;
      ASSIGN_OR_RETURN(const InodeIndex made, tree_.AddInode(std::move(inode)));
      RETURN_IF_ERROR(Replace(index, path[i], made));
      index = made;
    } else if (tree_.inode(*next).IsDirectory()) {
      index = *next;
    } else {
      return Error(Code::kInvalidArgument,
                   "its parent '" + Join(path, i + 1) + "' is no directory");
    }
  }
  return index;
}

Status ArchiveTree::Replace(InodeIndex parent, std::string_view name, InodeIndex inode) {
  if (tree_.Lookup(parent, name)) RETURN_IF_ERROR(tree_.Unlink(parent, name));
  return tree_.Link(parent, name, inode);
}

Result<InodeIndex> ArchiveTree::Add(const Path& path, Inode inode) {
  if (path.empty()) {
    if (!inode.IsDirectory()) return Error(Code::kInvalidArgument, "the root must be a directory");
    RETURN_IF_ERROR(CheckInode(inode));
    RETURN_IF_ERROR(tree_.CopyAttributes(Tree::kRoot, inode));
    return Tree::kRoot;
  }
  ASSIGN_OR_RETURN(const InodeIndex parent, ParentOf(path));
  const std::optional<InodeIndex> existing = tree_.Lookup(parent, path.back());
  if (existing && inode.IsDirectory()) {
    if (tree_.inode(*existing).IsDirectory()) {
      RETURN_IF_ERROR(CheckInode(inode));
      RETURN_IF_ERROR(tree_.CopyAttributes(*existing, inode));
      return *existing;
    }
    if (tree_.inode(*existing).IsWhiteout()) inode.opaque = true;
  }
  ASSIGN_OR_RETURN(const InodeIndex added, tree_.AddInode(std::move(inode)));
  RETURN_IF_ERROR(Replace(parent, path.back(), added));
  return added;
}

Result<InodeIndex> ArchiveTree::CopyFromBase(const Path& path) {
  const auto below = path.empty() ? std::nullopt : InBase(path, path.size());
  if (!below || base_->inode(*below).IsDirectory()) {
    return Error(Code::kInvalidArgument,
                 "is a hard link to '" + Join(path, path.size()) + "', which is not there");
  }
  return Add(path, CopyWithoutEntries(base_->inode(*below)));
}

Status ArchiveTree::AddHardLink(const Path& path, const Path& target) {
  if (path.empty()) return Error(Code::kInvalidArgument, "the root cannot be a hard link");
  std::optional<InodeIndex> file = Tree::kRoot;
  for (size_t i = 0; i < target.size() && file; ++i) file = tree_.Lookup(*file, target[i]);
  if (!file) {
    ASSIGN_OR_RETURN(file, CopyFromBase(target));
  }
  if (tree_.inode(*file).IsWhiteout()) {
    return Error(Code::kInvalidArgument, "is a hard link to '" + Join(target, target.size()) +
                                             "', which this layer removes");
  }
  if (tree_.inode(*file).IsDirectory()) {
    return Error(Code::kInvalidArgument,
                 "is a hard link to the directory '" + Join(target, target.size()) + "'");
  }
  ASSIGN_OR_RETURN(const InodeIndex parent, ParentOf(path));
  if (tree_.Lookup(parent, path.back()) == file) return Ok();
  return Replace(parent, path.back(), *file);
}

Status ArchiveTree::AddWhiteout(const Path& path) {
  ASSIGN_OR_RETURN(const InodeIndex parent, ParentOf(path));
  if (const auto existing = tree_.Lookup(parent, path.back())) {
    // A whiteout hides lower layers only (OCI image-spec, layer.md); what this layer has stays.
    Inode& inode = tree_.mutable_inode(*existing);
    if (inode.IsDirectory()) inode.opaque = true;
    return Ok();
  }
  Inode inode;
  inode.mode = S_IFCHR;
  ASSIGN_OR_RETURN(const InodeIndex added, tree_.AddInode(std::move(inode)));
  return tree_.Link(parent, path.back(), added);
}

Status ArchiveTree::MakeOpaque(const Path& path) {
  ASSIGN_OR_RETURN(const InodeIndex directory, Directory(path, path.size()));
  tree_.mutable_inode(directory).opaque = true;
  return Ok();
}

}  // namespace strata::imaged
