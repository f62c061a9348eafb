#include "imaged/compare/layer_draft.h"

#include <utility>

#include "common/printable.h"
#include "imaged/compare/image_diff.h"
#include "imaged/compare/tree_paths.h"

namespace strata::imaged {

namespace {

// The readers are what the caller says they are, or this cannot be.
Error Contradiction(const std::string& path) {
  return Error(Code::kCorrupt, "/" + Printable(path) + " is no directory, but has entries");
}

}  // namespace

Result<LayerDraft> LayerDraft::Create(const ErofsReader& image, const ErofsReader& base) {
  LayerDraft draft(image, base);
  ASSIGN_OR_RETURN(const Inode root, base.ReadInode(base.root()));
  RETURN_IF_ERROR(draft.tree_.CopyAttributes(Tree::kRoot, root));
  return draft;
}

Result<InodeIndex> LayerDraft::EnsureDirectory(const std::string& path) {
  if (const auto found = tree_.Find(path)) {
    if (!tree_.inode(*found).IsDirectory()) return Contradiction(path);
    return *found;
  }
  ASSIGN_OR_RETURN(const InodeIndex parent, EnsureDirectory(ParentPath(path)));
  ASSIGN_OR_RETURN(const PathLookup below, FindPath(*base_, path));
  Inode inode;
  if (below.nid) {
    ASSIGN_OR_RETURN(inode, base_->ReadInode(*below.nid));
  }
  if (!inode.IsDirectory()) {
    ASSIGN_OR_RETURN(const PathLookup own, FindPath(*image_, path));
    if (!own.nid) return Contradiction(path);
    ASSIGN_OR_RETURN(inode, image_->ReadInode(*own.nid));
  }
  ASSIGN_OR_RETURN(const InodeIndex index, tree_.AddInode(std::move(inode)));
  RETURN_IF_ERROR(tree_.Link(parent, path.substr(path.rfind('/') + 1), index));
  return index;
}

Status LayerDraft::Put(const std::string& path, Inode inode, std::optional<Nid> image_inode) {
  if (path.empty()) return tree_.CopyAttributes(Tree::kRoot, inode);
  ASSIGN_OR_RETURN(const InodeIndex parent, EnsureDirectory(ParentPath(path)));
  const std::string name = path.substr(path.rfind('/') + 1);
  const bool may_link = image_inode && !inode.IsDirectory();
  if (may_link) {
    const std::optional<InodeIndex> other = Placed(inode, *image_inode);
    if (other) return tree_.Link(parent, name, *other);
  }
  ASSIGN_OR_RETURN(const InodeIndex index, tree_.AddInode(std::move(inode)));
  if (may_link) placed_[*image_inode].push_back(index);
  return tree_.Link(parent, name, index);
}

std::optional<InodeIndex> LayerDraft::Placed(const Inode& inode, Nid image_inode) const {
  const auto placed = placed_.find(image_inode);
  if (placed == placed_.end()) return std::nullopt;
  for (const InodeIndex other : placed->second) {
    if (Differences(tree_.inode(other), inode) == 0) return other;
  }
  return std::nullopt;
}

bool LayerDraft::WouldLink(const Inode& inode, Nid image_inode) const {
  return Placed(inode, image_inode).has_value();
}

Status LayerDraft::PutWhiteout(const std::string& path) {
  Inode whiteout;
  whiteout.mode = S_IFCHR;
  return Put(path, std::move(whiteout), std::nullopt);
}

}  // namespace strata::imaged
