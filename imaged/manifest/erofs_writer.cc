#include "imaged/manifest/erofs_writer.h"

#include <cstddef>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "common/file_io.h"
#include "common/log.h"
#include "imaged/manifest/erofs_format.h"
#include "imaged/manifest/erofs_layout.h"
#include "imaged/manifest/erofs_xattr.h"

namespace strata::imaged {
namespace {

using namespace erofs;  // NOLINT: the format's names are this file's subject.

template <typename T>
void AppendRaw(const T& value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// The image as a stream: hashed, and written when there is a file.
class Sink {
 public:
  explicit Sink(int fd) : fd_(fd) { buffer_.reserve(kFlushSize + kSlackSize); }

  uint64_t position() const { return flushed_ + buffer_.size(); }
  std::string* buffer() { return &buffer_; }
  void PadTo(uint64_t offset) {
    CHECK(offset >= position());
    buffer_.append(offset - position(), '\0');
  }
  Status FlushIfFull() { return buffer_.size() >= kFlushSize ? Flush() : Ok(); }
  Status Flush() {
    hasher_.Update(buffer_);
    if (fd_ >= 0) RETURN_IF_ERROR(PWriteAll(fd_, buffer_, flushed_));
    flushed_ += buffer_.size();
    buffer_.clear();
    return Ok();
  }
  // What was flushed so far is not part of the digest.
  void RestartHash() { hasher_ = Hasher(); }
  Digest digest() const { return hasher_.Finish(); }

 private:
  static constexpr size_t kFlushSize = 1 << 20;
  static constexpr size_t kSlackSize = 1 << 19;  // The largest inode, attributes included.
  const int fd_;
  Hasher hasher_;
  std::string buffer_;
  uint64_t flushed_ = 0;
};

class ImageWriter {
 public:
  ImageWriter(const Tree& tree, const ImageLayout& layout) : tree_(tree), layout_(layout) {}

  // The uuid comes from everything past the superblock, so this is a pass of its own.
  Result<Digest> HashContent() {
    Sink sink(-1);
    sink.PadTo(kMetaOffset);
    RETURN_IF_ERROR(sink.Flush());
    sink.RestartHash();
    RETURN_IF_ERROR(WriteContent(&sink));
    RETURN_IF_ERROR(sink.Flush());
    return sink.digest();
  }

  Result<WrittenManifest> Write(const Digest& content, int fd) {
    Sink sink(fd);
    sink.PadTo(kSuperOffset);
    AppendRaw(MakeSuperBlock(content), sink.buffer());
    sealed_ = false;
    RETURN_IF_ERROR(WriteContent(&sink));
    RETURN_IF_ERROR(sink.Flush());
    return WrittenManifest{sink.digest(), sink.position()};
  }

 private:
  SuperBlock MakeSuperBlock(const Digest& content) const {
    SuperBlock super = {};
    super.magic = kMagic;
    super.feature_compat = kCompatSuperChecksum | kCompatMtime | kCompatXattrFilter;
    super.feature_incompat = kIncompatChunkedFile;
    super.block_bits = kBlockBits;
    super.root_nid = static_cast<uint16_t>(layout_.places[Tree::kRoot].nid());
    super.inodes = layout_.order.size();
    super.blocks = static_cast<uint32_t>(layout_.blocks);
    std::memcpy(super.uuid, content.bytes().data(), sizeof(super.uuid));
    std::memcpy(super.volume_name, kVolumeName, sizeof(super.volume_name));
    return super;
  }

  Status WriteContent(Sink* sink) {
    uint32_t ino = 0;
    for (const InodeIndex index : layout_.order) {
      RETURN_IF_ERROR(WriteWaitingData(layout_.places[index].offset, sink));
      RETURN_IF_ERROR(WriteNode(index, ++ino, sink));
    }
    RETURN_IF_ERROR(WriteWaitingData(~uint64_t{0}, sink));
    sink->PadTo(layout_.blocks * kBlockSize);
    Seal(sink);
    return Ok();
  }

  // Data blocks that lie before `offset`.
  Status WriteWaitingData(uint64_t offset, Sink* sink) {
    while (!waiting_.empty()) {
      const InodeIndex index = waiting_.front();
      const uint64_t start = uint64_t{layout_.places[index].data_block} * kBlockSize;
      if (start > offset) return Ok();
      waiting_.pop_front();
      sink->PadTo(start);
      const Inode& inode = tree_.inode(index);
      if (inode.IsDirectory()) {
        RETURN_IF_ERROR(WriteDirectoryBlocks(index, sink));
      } else {
        sink->buffer()->append(inode.data);
        sink->PadTo(AlignUp(sink->position(), kBlockSize));
      }
    }
    return Ok();
  }

  Status WriteNode(InodeIndex index, uint32_t ino, Sink* sink) {
    const Inode& inode = tree_.inode(index);
    ASSIGN_OR_RETURN(const Shape shape, ShapeOf(inode));
    const Place& place = layout_.places[index];
    sink->PadTo(place.offset);
    std::string* out = sink->buffer();
    AppendRaw(MakeInode(inode, shape, place, ino), out);
    AppendXattrArea(inode, out);
    if (shape.layout == Layout::kChunked) {
      out->append(shape.tail_bytes, '\xff');  // Every chunk at kNullAddress.
    } else if (shape.layout == Layout::kInline) {
      if (inode.IsDirectory()) {
        RETURN_IF_ERROR(EncodeDirectory(index, [&](std::string_view block, bool last) {
          if (last) out->append(block);
          return Ok();
        }));
      } else {
        out->append(inode.data);
      }
    }
    CHECK(sink->position() == place.offset + shape.NodeBytes());
    if (shape.data_blocks > 0) waiting_.push_back(index);
    return FlushSealed(sink);
  }

  ExtendedInode MakeInode(const Inode& inode, const Shape& shape, const Place& place,
                          uint32_t ino) const {
    ExtendedInode raw = {};
    raw.format =
        static_cast<uint16_t>(kExtendedBit | static_cast<uint16_t>(shape.layout) << kLayoutShift);
    if (shape.xattr_bytes > 0) {
      raw.xattr_count = static_cast<uint16_t>((shape.xattr_bytes - sizeof(XattrHeader)) / 4 + 1);
    }
    raw.mode = static_cast<uint16_t>(inode.mode);
    raw.size = shape.size;
    if (shape.layout == Layout::kChunked) {
      raw.u = shape.chunk_bits;
    } else if (S_ISCHR(inode.mode) || S_ISBLK(inode.mode)) {
      raw.u = EncodeDevice(inode.rdev);
    } else {
      raw.u = place.data_block;
    }
    raw.ino = ino;
    raw.uid = inode.uid;
    raw.gid = inode.gid;
    raw.mtime = inode.mtime_s;
    raw.mtime_ns = inode.mtime_ns;
    raw.nlink = inode.nlink;
    if (inode.IsDirectory()) {
      raw.nlink = 2;
      for (const auto& [name, child] : *inode.children) {
        raw.nlink += tree_.inode(child).IsDirectory() ? 1 : 0;
      }
    }
    return raw;
  }

  Status WriteDirectoryBlocks(InodeIndex index, Sink* sink) {
    ASSIGN_OR_RETURN(const Shape shape, ShapeOf(tree_.inode(index)));
    return EncodeDirectory(index, [&](std::string_view block, bool last) {
      if (last && shape.layout == Layout::kInline) return Ok();
      sink->buffer()->append(block);
      sink->PadTo(AlignUp(sink->position(), kBlockSize));
      return FlushSealed(sink);
    });
  }

  // Gives the directory's content block by block, each as long as it is used.
  template <typename Give>
  Status EncodeDirectory(InodeIndex index, Give give) {
    Status status;
    dirents_.clear();
    names_.clear();
    const auto finish = [&](bool last) {
      const size_t header_size = dirents_.size() * sizeof(Dirent);
      for (Dirent& dirent : dirents_) {
        dirent.name_offset = static_cast<uint16_t>(dirent.name_offset + header_size);
      }
      block_.assign(reinterpret_cast<const char*>(dirents_.data()), header_size);
      block_.append(names_);
      dirents_.clear();
      names_.clear();
      if (status.ok()) status = give(std::string_view(block_), last);
    };
    const Place& place = layout_.places[index];
    ForEachEntry(tree_.inode(index), [&](std::string_view name, EntryKind kind, InodeIndex child) {
      const size_t used = dirents_.size() * sizeof(Dirent) + names_.size();
      if (used + sizeof(Dirent) + name.size() > kBlockSize) finish(false);
      const InodeIndex target = kind == EntryKind::kSelf     ? index
                                : kind == EntryKind::kParent ? place.parent
                                                             : child;
      Dirent dirent = {};
      dirent.nid = layout_.places[target].nid();
      dirent.name_offset = static_cast<uint16_t>(names_.size());
      dirent.type = DirentType(tree_.inode(target).mode);
      dirents_.push_back(dirent);
      names_.append(name);
    });
    finish(true);
    return status;
  }

  // The checksum covers the first block, which must therefore be complete before it leaves.
  void Seal(Sink* sink) {
    if (sealed_) return;
    std::string& image = *sink->buffer();
    CHECK(sink->position() == image.size() && image.size() >= kBlockSize);
    const uint32_t checksum =
        SuperChecksum(std::string_view(image).substr(kSuperOffset, kBlockSize - kSuperOffset));
    std::memcpy(image.data() + kSuperOffset + offsetof(SuperBlock, checksum), &checksum,
                sizeof(checksum));
    sealed_ = true;
  }
  Status FlushSealed(Sink* sink) {
    if (sink->buffer()->size() >= kBlockSize) Seal(sink);
    return sink->FlushIfFull();
  }

  const Tree& tree_;
  const ImageLayout& layout_;
  std::deque<InodeIndex> waiting_;  // Inodes whose data blocks come at the next boundary.
  std::vector<Dirent> dirents_;     // One directory block in the making.
  std::string names_;
  std::string block_;
  bool sealed_ = true;
};

}  // namespace

Result<WrittenManifest> WriteErofs(const Tree& tree, int fd) {
  ASSIGN_OR_RETURN(const ImageLayout layout, PlanImage(tree));
  ImageWriter writer(tree, layout);
  ASSIGN_OR_RETURN(const Digest content, writer.HashContent());
  return writer.Write(content, fd);
}

}  // namespace strata::imaged
