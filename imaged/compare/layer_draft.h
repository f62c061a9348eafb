// LayerDraft: the layer that a rebase writes on top of its new base, path by path. Directories
// above a path are made when it is put, with the attributes that the new base has there (the
// layer's entry replaces them), or those of the image where the base has no directory.
//
// Ownership: the readers belong to the caller. Not thread-safe.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/result.h"
#include "imaged/manifest/erofs_reader.h"
#include "imaged/manifest/tree.h"

namespace strata::imaged {

class LayerDraft {
 public:
  // The root takes the attributes that `base` has.
  static Result<LayerDraft> Create(const ErofsReader& image, const ErofsReader& base);

  // Puts `inode` at `path`. Names that are put for the same `image_inode` become hard links of each
  // other when they are equal. REQUIRES: nothing was put there, but the root may be put again.
  Status Put(const std::string& path, Inode inode, std::optional<Nid> image_inode);
  // Whether Put would make a hard link of it.
  bool WouldLink(const Inode& inode, Nid image_inode) const;
  Status PutWhiteout(const std::string& path);

  // Nothing when nothing was put at or below `path`.
  std::optional<InodeIndex> Find(const std::string& path) const { return tree_.Find(path); }
  Tree Take() { return std::move(tree_); }

 private:
  LayerDraft(const ErofsReader& image, const ErofsReader& base) : image_(&image), base_(&base) {}
  Result<InodeIndex> EnsureDirectory(const std::string& path);
  std::optional<InodeIndex> Placed(const Inode& inode, Nid image_inode) const;

  const ErofsReader* image_;
  const ErofsReader* base_;
  Tree tree_;
  std::unordered_map<Nid, std::vector<InodeIndex>> placed_;  // By the image's inode.
};

}  // namespace strata::imaged
