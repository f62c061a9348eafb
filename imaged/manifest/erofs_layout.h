// Where everything of a Tree will lie in its manifest: decided before the first byte is written,
// because directories hold the numbers of inodes that come later. Private to imaged/manifest.
//
// Inodes follow each other depth first, each with its attributes and its small content. A directory
// of several blocks has them at the next block boundary, so a walk goes through the image forward.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "imaged/manifest/erofs_format.h"
#include "imaged/manifest/tree.h"

namespace strata::imaged::erofs {

// The pieces of one inode.
struct Shape {
  Layout layout = Layout::kPlain;
  uint16_t chunk_bits = 0;
  uint32_t xattr_bytes = 0;
  uint64_t size = 0;         // i_size.
  uint64_t tail_bytes = 0;   // Content right behind the attributes: inline data or a chunk table.
  uint64_t data_blocks = 0;  // Content elsewhere.

  uint64_t NodeBytes() const;
};

struct Place {
  uint64_t offset = 0;      // 0: the inode has no name and is not in the image.
  uint32_t data_block = 0;  // The first of Shape::data_blocks.
  InodeIndex parent = 0;    // Directories: for "..".

  uint64_t nid() const { return offset / kSlotSize; }
};

struct ImageLayout {
  std::vector<InodeIndex> order;  // As they lie in the image.
  std::vector<Place> places;      // By InodeIndex.
  uint64_t blocks = 0;
};

// kInvalidArgument: the format cannot hold the tree; the message names the limit.
Result<ImageLayout> PlanImage(const Tree& tree);
Result<Shape> ShapeOf(const Inode& inode);

enum class EntryKind { kSelf, kParent, kChild };

// The entries of a directory in the order of EROFS: "." and ".." among the names, by bytes.
// `visit(name, kind, index)`; the index only counts for kChild.
template <typename Visit>
void ForEachEntry(const Inode& directory, Visit visit) {
  static constexpr std::string_view kDots[] = {".", ".."};
  static constexpr EntryKind kKinds[] = {EntryKind::kSelf, EntryKind::kParent};
  int dots = 0;
  for (const auto& [name, child] : *directory.children) {
    for (; dots < 2 && name.compare(kDots[dots]) > 0; ++dots)
      visit(kDots[dots], kKinds[dots], InodeIndex{0});
    visit(std::string_view(name), EntryKind::kChild, child);
  }
  for (; dots < 2; ++dots) visit(kDots[dots], kKinds[dots], InodeIndex{0});
}

}  // namespace strata::imaged::erofs
