#include "imaged/manifest/erofs_layout.h"

#include <functional>
#include <map>
#include <string>

#include "imaged/manifest/erofs_xattr.h"

namespace strata::imaged::erofs {
namespace {

// Bytes of a directory's content: full blocks and what the last one uses.
uint64_t DirectorySize(const Inode& directory) {
  uint64_t full_blocks = 0;
  uint64_t used = 0;
  ForEachEntry(directory, [&](std::string_view name, EntryKind, InodeIndex) {
    const uint64_t need = sizeof(Dirent) + name.size();
    if (used + need > kBlockSize) {
      ++full_blocks;
      used = 0;
    }
    used += need;
  });
  return full_blocks * kBlockSize + used;
}

// Places inodes and data blocks one after the other.
class Cursor {
 public:
  // `whole`: within one block, as the kernel demands of inline content.
  uint64_t PlaceNode(uint64_t bytes, bool whole) {
    const uint64_t boundary = AlignUp(position_, kBlockSize);
    if (position_ + bytes > boundary) {
      if (waiting_blocks_ > 0) {
        position_ = boundary + waiting_blocks_ * kBlockSize;
        waiting_blocks_ = 0;
      } else if (whole && position_ % kBlockSize + bytes > kBlockSize) {
        position_ = boundary;
      }
    }
    const uint64_t offset = position_;
    position_ = AlignUp(position_ + bytes, kSlotSize);
    return offset;
  }

  // The blocks lie at the next boundary, behind others that wait for it.
  uint64_t PlaceBlocks(uint64_t blocks) {
    const uint64_t first = BlocksOf(position_) + waiting_blocks_;
    waiting_blocks_ += blocks;
    return first;
  }

  uint64_t Blocks() const { return BlocksOf(position_) + waiting_blocks_; }

 private:
  uint64_t position_ = kMetaOffset;
  uint64_t waiting_blocks_ = 0;
};

Status PlaceInode(const Tree& tree, InodeIndex index, InodeIndex parent, Cursor* cursor,
                  ImageLayout* layout) {
  const Inode& inode = tree.inode(index);
  RETURN_IF_ERROR(CheckInode(inode));
  ASSIGN_OR_RETURN(const Shape shape, ShapeOf(inode));
  Place& place = layout->places[index];
  place.parent = parent;
  place.offset = cursor->PlaceNode(shape.NodeBytes(), shape.layout == Layout::kInline);
  if (shape.data_blocks > 0) {
    const uint64_t block = cursor->PlaceBlocks(shape.data_blocks);
    if (block + shape.data_blocks >= kNullAddress) {
      return Error(Code::kInvalidArgument, "a manifest of more than 2^32 blocks");
    }
    place.data_block = static_cast<uint32_t>(block);
  }
  layout->order.push_back(index);
  return Ok();
}

}  // namespace

uint64_t Shape::NodeBytes() const { return sizeof(ExtendedInode) + xattr_bytes + tail_bytes; }

Result<Shape> ShapeOf(const Inode& inode) {
  Shape shape;
  const uint64_t xattr_bytes = XattrAreaSize(inode);
  if (xattr_bytes > kXattrAreaMax) {
    return Error(Code::kInvalidArgument, "attributes of " + std::to_string(xattr_bytes) +
                                             " bytes, EROFS's limit for one inode is " +
                                             std::to_string(kXattrAreaMax));
  }
  shape.xattr_bytes = static_cast<uint32_t>(xattr_bytes);
  if (inode.IsDirectory()) {
    shape.size = DirectorySize(inode);
  } else if (inode.IsRegular() && !inode.object.IsZero()) {
    shape.layout = Layout::kChunked;
    shape.size = inode.size;
    shape.chunk_bits = ChunkBitsFor(inode.size);
    shape.tail_bytes = ChunksOf(inode.size, shape.chunk_bits) * sizeof(uint32_t);
    return shape;
  } else if (inode.IsRegular() || S_ISLNK(inode.mode)) {
    shape.size = inode.data.size();
  }
  if (shape.size == 0) return shape;
  const uint64_t tail = (shape.size - 1) % kBlockSize + 1;
  if (sizeof(ExtendedInode) + xattr_bytes + tail <= kBlockSize) {
    shape.layout = Layout::kInline;
    shape.tail_bytes = tail;
    shape.data_blocks = (shape.size - tail) / kBlockSize;
  } else {
    shape.data_blocks = BlocksOf(shape.size);
  }
  return shape;
}

Result<ImageLayout> PlanImage(const Tree& tree) {
  ImageLayout layout;
  layout.places.resize(tree.inode_count());
  Cursor cursor;
  using Children = std::map<std::string, InodeIndex, std::less<>>;
  struct Level {
    InodeIndex directory;
    Children::const_iterator next, end;
  };
  std::vector<Level> stack;
  const auto enter = [&](InodeIndex directory) {
    const Children& children = *tree.inode(directory).children;
    stack.push_back({directory, children.begin(), children.end()});
  };
  RETURN_IF_ERROR(PlaceInode(tree, Tree::kRoot, Tree::kRoot, &cursor, &layout), "/");
  enter(Tree::kRoot);
  while (!stack.empty()) {
    Level& level = stack.back();
    if (level.next == level.end) {
      stack.pop_back();
      continue;
    }
    const auto& [name, index] = *level.next++;
    if (layout.places[index].offset != 0) continue;  // A further name of a hard link.
    RETURN_IF_ERROR(PlaceInode(tree, index, level.directory, &cursor, &layout), name);
    if (tree.inode(index).IsDirectory()) enter(index);
  }
  layout.blocks = cursor.Blocks();
  if (layout.blocks >= kNullAddress) {
    return Error(Code::kInvalidArgument, "a manifest of more than 2^32 blocks");
  }
  return layout;
}

}  // namespace strata::imaged::erofs
