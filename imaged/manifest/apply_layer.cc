// The union of overlayfs (Documentation/filesystems/overlayfs.rst) as one pass over the layer.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "imaged/manifest/tree.h"

namespace strata::imaged {
namespace {

constexpr InodeIndex kNone = ~InodeIndex{0};
// Below this, inodes that lost their names are not worth a copy of the tree.
constexpr size_t kOrphansMin = 1024;

class LayerMerge {
 public:
  LayerMerge(const Tree& layer, Tree* base)
      : layer_(layer), base_(*base), copied_(layer.inode_count(), kNone) {}

  Status Run() {
    RETURN_IF_ERROR(MergeDirectory(Tree::kRoot, Tree::kRoot));
    while (!pending_.empty()) {  // Iterative: depth is the importer's choice.
      const auto [from, to] = pending_.back();
      pending_.pop_back();
      for (const auto& [name, child] : *layer_.inode(from).children) {
        RETURN_IF_ERROR(MergeEntry(to, name, child), name);
      }
    }
    return Ok();
  }

 private:
  // `to` takes the attributes of `from`; the entries follow later.
  Status MergeDirectory(InodeIndex from, InodeIndex to) {
    const Inode& directory = layer_.inode(from);
    RETURN_IF_ERROR(base_.CopyAttributes(to, directory));
    if (directory.opaque) {
      const auto& children = *base_.inode(to).children;
      while (!children.empty()) {
        const std::string name = children.begin()->first;
        RETURN_IF_ERROR(base_.Unlink(to, name));
      }
    }
    pending_.emplace_back(from, to);
    return Ok();
  }

  Status MergeEntry(InodeIndex parent, const std::string& name, InodeIndex from) {
    const Inode& inode = layer_.inode(from);
    const std::optional<InodeIndex> below = base_.Lookup(parent, name);
    if (below && inode.IsDirectory() && base_.inode(*below).IsDirectory()) {
      return MergeDirectory(from, *below);
    }
    if (below) RETURN_IF_ERROR(base_.Unlink(parent, name));
    if (inode.IsWhiteout()) return Ok();
    if (copied_[from] == kNone) {
      ASSIGN_OR_RETURN(copied_[from], base_.AddInode(CopyWithoutEntries(inode)));
      if (inode.IsDirectory()) pending_.emplace_back(from, copied_[from]);
    }
    return base_.Link(parent, name, copied_[from]);
  }

  const Tree& layer_;
  Tree& base_;
  std::vector<InodeIndex> copied_;  // By index in the layer; keeps its hard links together.
  std::vector<std::pair<InodeIndex, InodeIndex>> pending_;  // Directories: layer's, base's.
};

}  // namespace

Status ApplyLayer(const Tree& layer, Tree* base) {
  base->mutable_inode(Tree::kRoot).opaque = false;
  RETURN_IF_ERROR(LayerMerge(layer, base).Run());
  // entry_count() is at least the number of named inodes but the root.
  const size_t orphans =
      base->inode_count() - std::min<size_t>(base->inode_count(), base->entry_count() + 1);
  if (orphans < kOrphansMin || orphans < base->entry_count()) return Ok();
  ASSIGN_OR_RETURN(*base, base->Compacted());
  return Ok();
}

}  // namespace strata::imaged
