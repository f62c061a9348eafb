#include "imaged/manifest/erofs_reader.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/file_io.h"
#include "imaged/manifest/erofs_format.h"
#include "imaged/manifest/erofs_xattr.h"

namespace strata::imaged {
namespace {

using namespace erofs;  // NOLINT: the format's names are this file's subject.

constexpr uint64_t kTargetMax = 4095;
// Shorter directories are searched from their start faster than a bookmark is found.
constexpr uint64_t kBookmarkBlocksMin = 4;

Error Corrupt(Nid nid, const char* what) {
  return Error(Code::kCorrupt, "inode " + std::to_string(nid) + ": " + what, EUCLEAN);
}
Error WrongType(Nid nid, const char* what, int sys_errno) {
  return Error(Code::kInvalidArgument, "inode " + std::to_string(nid) + " is no " + what,
               sys_errno);
}

bool IsDot(std::string_view name) { return name == "." || name == ".."; }

bool IsEntryName(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name.find('\0') == std::string_view::npos &&
         name.find('/') == std::string_view::npos;
}

}  // namespace

struct ErofsReader::Node {
  ErofsInode inode;
  Layout layout = Layout::kPlain;
  uint32_t u = 0;
  std::string_view xattrs;   // Without their header.
  uint64_t tail_offset = 0;  // The first byte behind the attributes.
};

// One block of a directory: entries at its front, names behind them, both in order.
struct ErofsReader::DirBlock {
  std::string_view bytes;
  uint32_t count = 0;

  Dirent dirent(uint32_t i) const {
    Dirent dirent;
    std::memcpy(&dirent, bytes.data() + i * sizeof(Dirent), sizeof(dirent));
    return dirent;
  }
  // Empty when the offsets make no sense. REQUIRES: i < count.
  std::string_view name(uint32_t i) const {
    const size_t start = dirent(i).name_offset;
    size_t end = i + 1 < count ? dirent(i + 1).name_offset : bytes.size();
    if (start < count * sizeof(Dirent) || start >= end || end > bytes.size()) return {};
    const std::string_view name = bytes.substr(start, end - start);
    // The last name of a block is padded with zeros.
    return i + 1 < count ? name : name.substr(0, name.find('\0'));
  }
  // The first entry whose name is not less than `wanted`.
  uint32_t LowerBound(std::string_view wanted) const {
    uint32_t low = 0;
    for (uint32_t high = count; low < high;) {
      const uint32_t middle = low + (high - low) / 2;
      if (name(middle) < wanted) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
  bool Has(std::string_view wanted) const {
    const uint32_t i = LowerBound(wanted);
    return i < count && name(i) == wanted;
  }
};

Result<std::unique_ptr<ErofsReader>> ErofsReader::Open(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd fd, strata::Open(path, O_RDONLY));
  struct stat st;
  if (::fstat(fd.get(), &st) != 0) return Errno("stat " + path);
  if (!S_ISREG(st.st_mode) || st.st_size < kBlockSize) {
    return Error(Code::kCorrupt, path + ": too short for a manifest");
  }
  const auto size = static_cast<size_t>(st.st_size);
  void* map = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (map == MAP_FAILED) return Errno("mmap " + path);
  std::unique_ptr<ErofsReader> reader(new ErofsReader());
  reader->image_ = std::string_view(static_cast<const char*>(map), size);
  reader->mapped_ = true;
  RETURN_IF_ERROR(reader->CheckSuperBlock(), path);
  return reader;
}

Result<std::unique_ptr<ErofsReader>> ErofsReader::FromMemory(std::string_view image) {
  std::unique_ptr<ErofsReader> reader(new ErofsReader());
  reader->image_ = image;
  RETURN_IF_ERROR(reader->CheckSuperBlock());
  return reader;
}

ErofsReader::~ErofsReader() {
  if (mapped_) ::munmap(const_cast<char*>(image_.data()), image_.size());
}

Status ErofsReader::CheckSuperBlock() {
  if (image_.size() < kBlockSize) return Error(Code::kCorrupt, "too short for a manifest");
  SuperBlock super;
  std::memcpy(&super, image_.data() + kSuperOffset, sizeof(super));
  if (super.magic != kMagic) return Error(Code::kCorrupt, "not an EROFS image");
  if (super.checksum != SuperChecksum(image_.substr(kSuperOffset, kBlockSize - kSuperOffset))) {
    return Error(Code::kCorrupt, "the superblock does not match its checksum");
  }
  if (std::memcmp(super.volume_name, kVolumeName, sizeof(super.volume_name)) != 0 ||
      super.feature_incompat != kIncompatChunkedFile) {
    return Error(Code::kUnsupported, "an EROFS image, but no manifest of version 'strata-1'");
  }
  if (super.block_bits != kBlockBits || super.ext_slots != 0 || super.dir_block_bits != 0 ||
      super.meta_block != 0 || uint64_t{super.blocks} * kBlockSize != image_.size()) {
    return Error(Code::kCorrupt, "a superblock that does not fit the image: cut or extended");
  }
  root_ = super.root_nid;
  std::memcpy(uuid_.data(), super.uuid, uuid_.size());
  ASSIGN_OR_RETURN(const ErofsInode root, GetInode(root_), "root");
  if (!S_ISDIR(root.mode)) return Error(Code::kCorrupt, "a root that is no directory");
  return Ok();
}

Result<ErofsReader::Node> ErofsReader::Parse(Nid nid) const {
  if (nid < kMetaOffset / kSlotSize || nid >= image_.size() / kSlotSize) {
    return Corrupt(nid, "outside the image");
  }
  const uint64_t offset = nid * kSlotSize;
  ExtendedInode raw;
  if (offset + sizeof(raw) > image_.size()) return Corrupt(nid, "cut by the end of the image");
  std::memcpy(&raw, image_.data() + offset, sizeof(raw));
  Node node;
  node.layout = static_cast<Layout>(raw.format >> kLayoutShift);
  if ((raw.format & kExtendedBit) == 0 || DirentType(raw.mode) == 0 || raw.reserved != 0 ||
      raw.mtime_ns >= 1'000'000'000 || raw.nlink == 0) {
    return Corrupt(nid, "not an inode");
  }
  if (node.layout == Layout::kChunked) {
    if (!S_ISREG(raw.mode) || raw.size == 0) return Corrupt(nid, "chunks of what is no file");
    if ((raw.u & ~uint32_t{kChunkBitsMask}) != 0) return Corrupt(nid, "an unknown chunk format");
  } else if (node.layout != Layout::kPlain && node.layout != Layout::kInline) {
    return Corrupt(nid, "an unknown data layout");
  }
  const uint64_t area = XattrArea(raw.xattr_count);
  node.tail_offset = offset + sizeof(raw) + area;
  if (node.tail_offset > image_.size()) return Corrupt(nid, "attributes past the image");
  if (area > 0) {
    XattrHeader header;
    std::memcpy(&header, image_.data() + offset + sizeof(raw), sizeof(header));
    if (header.shared_count != 0) return Corrupt(nid, "shared attributes");
    node.xattrs = image_.substr(offset + sizeof(raw) + sizeof(header), area - sizeof(header));
  }
  node.u = raw.u;
  node.inode.nid = nid;
  node.inode.mode = raw.mode;
  node.inode.uid = raw.uid;
  node.inode.gid = raw.gid;
  node.inode.nlink = raw.nlink;
  if (S_ISCHR(raw.mode) || S_ISBLK(raw.mode)) node.inode.rdev = DecodeDevice(raw.u);
  node.inode.size = raw.size;
  node.inode.mtime_s = raw.mtime;
  node.inode.mtime_ns = raw.mtime_ns;
  return node;
}

Result<ErofsReader::Node> ErofsReader::ParseDirectory(Nid nid) const {
  ASSIGN_OR_RETURN(Node node, Parse(nid));
  if (!S_ISDIR(node.inode.mode)) return WrongType(nid, "directory", ENOTDIR);
  return node;
}

Result<ErofsInode> ErofsReader::GetInode(Nid nid) const {
  ASSIGN_OR_RETURN(const Node node, Parse(nid));
  return node.inode;
}

// The content of a symbolic link or an inline file: one piece, by their limits.
Result<std::string_view> ErofsReader::Content(const Node& node) const {
  const uint64_t size = node.inode.size;
  const uint64_t start =
      node.layout == Layout::kInline ? node.tail_offset : uint64_t{node.u} * kBlockSize;
  if (node.layout == Layout::kChunked || size > kBlockSize) {
    return Corrupt(node.inode.nid, "content that is not in one piece");
  }
  if (size == 0) return std::string_view();
  if (start + size > image_.size()) return Corrupt(node.inode.nid, "content past the image");
  if (start % kBlockSize + size > kBlockSize) {
    return Corrupt(node.inode.nid, "inline content across blocks");
  }
  return image_.substr(start, size);
}

Result<std::string_view> ErofsReader::ReadLink(Nid nid) const {
  ASSIGN_OR_RETURN(const Node node, Parse(nid));
  if (!S_ISLNK(node.inode.mode)) return WrongType(nid, "symbolic link", EINVAL);
  ASSIGN_OR_RETURN(const std::string_view target, Content(node));
  if (target.empty() || target.size() > kTargetMax || target.find('\0') != std::string_view::npos) {
    return Corrupt(nid, "a bad target");
  }
  return target;
}

Result<std::string_view> ErofsReader::GetInlineData(Nid nid) const {
  ASSIGN_OR_RETURN(const Node node, Parse(nid));
  if (!S_ISREG(node.inode.mode)) return WrongType(nid, "regular file", EINVAL);
  if (node.layout == Layout::kChunked) return std::string_view();
  if (node.inode.size > kInlineSizeMax) return Corrupt(nid, "too much inline content");
  return Content(node);
}

Result<Digest> ErofsReader::GetObject(Nid nid) const {
  ASSIGN_OR_RETURN(const Node node, Parse(nid));
  if (!S_ISREG(node.inode.mode)) return WrongType(nid, "regular file", EINVAL);
  bool metacopy = false;
  Digest object;
  for (std::string_view rest = node.xattrs;;) {
    ASSIGN_OR_RETURN(const std::optional<StoredXattr> xattr, NextXattr(&rest));
    if (!xattr) break;
    if (xattr->Is(kTrusted, kMetacopy)) metacopy = true;
    if (xattr->Is(kTrusted, kRedirect)) {
      ASSIGN_OR_RETURN(object, ParseRedirect(xattr->value));
    }
  }
  const bool chunked = node.layout == Layout::kChunked;
  if (metacopy != chunked || object.IsZero() == chunked) {
    return Corrupt(nid, "object, attributes and layout contradict each other");
  }
  if (!chunked) return object;
  const uint64_t chunks = ChunksOf(node.inode.size, static_cast<uint16_t>(node.u));
  if (chunks > (image_.size() - node.tail_offset) / sizeof(kNullAddress)) {
    return Corrupt(nid, "a chunk table past the image");
  }
  const std::string_view table = image_.substr(node.tail_offset, chunks * sizeof(kNullAddress));
  if (table.find_first_not_of('\xff') != std::string_view::npos) {
    return Corrupt(nid, "chunks that are no holes");
  }
  return object;
}

Result<bool> ErofsReader::IsOpaque(Nid directory) const {
  ASSIGN_OR_RETURN(const Node node, ParseDirectory(directory));
  for (std::string_view rest = node.xattrs;;) {
    ASSIGN_OR_RETURN(const std::optional<StoredXattr> xattr, NextXattr(&rest));
    if (!xattr) return false;
    if (!xattr->Is(kTrusted, kOpaque)) continue;
    if (xattr->value != "y") return Corrupt(directory, "an unknown kind of opaque");
    return true;
  }
}

Result<std::vector<Xattr>> ErofsReader::GetXattrs(Nid nid) const {
  ASSIGN_OR_RETURN(const Node node, Parse(nid));
  std::vector<Xattr> xattrs;
  for (std::string_view rest = node.xattrs;;) {
    ASSIGN_OR_RETURN(const std::optional<StoredXattr> xattr, NextXattr(&rest));
    if (!xattr) break;
    ASSIGN_OR_RETURN(const std::string stored, StoredName(*xattr));
    if (std::optional<std::string> name = UnescapeXattrName(stored)) {
      xattrs.push_back({std::move(*name), std::string(xattr->value)});
      continue;
    }
    // The kernel would act on these: only what the writer gives may be there.
    const bool chunked = node.layout == Layout::kChunked;
    if (!(chunked && xattr->Is(kTrusted, kMetacopy) && xattr->value.empty()) &&
        !(chunked && xattr->Is(kTrusted, kRedirect)) &&
        !(S_ISDIR(node.inode.mode) && xattr->Is(kTrusted, kOpaque))) {
      return Corrupt(nid, "an attribute that overlayfs would misunderstand");
    }
  }
  std::sort(xattrs.begin(), xattrs.end());
  return xattrs;
}

Result<ErofsReader::DirBlock> ErofsReader::BlockOf(const Node& directory, uint64_t block) const {
  const Nid nid = directory.inode.nid;
  const uint64_t start = block * kBlockSize;
  const uint64_t size = std::min<uint64_t>(kBlockSize, directory.inode.size - start);
  uint64_t offset = uint64_t{directory.u} * kBlockSize + start;
  if (directory.layout == Layout::kInline && start + size == directory.inode.size) {
    offset = directory.tail_offset;
    if (offset % kBlockSize + size > kBlockSize)
      return Corrupt(nid, "inline entries across blocks");
  }
  if (offset > image_.size() || size > image_.size() - offset) {
    return Corrupt(nid, "entries past the image");
  }
  DirBlock result;
  result.bytes = image_.substr(offset, size);
  if (size < sizeof(Dirent)) return Corrupt(nid, "a cut directory block");
  const uint32_t names = result.dirent(0).name_offset;
  result.count = names / sizeof(Dirent);
  if (names % sizeof(Dirent) != 0 || result.count == 0 || names >= size) {
    return Corrupt(nid, "a bad directory block");
  }
  return result;
}

Result<std::optional<ErofsDirEntry>> ErofsReader::Search(const Node& directory,
                                                         std::string_view name) const {
  // The last block whose first name is not greater.
  uint64_t low = 0;
  for (uint64_t high = BlocksOf(directory.inode.size); low < high;) {
    const uint64_t middle = low + (high - low) / 2;
    ASSIGN_OR_RETURN(const DirBlock block, BlockOf(directory, middle));
    if (block.name(0) <= name) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) return std::optional<ErofsDirEntry>();
  ASSIGN_OR_RETURN(const DirBlock block, BlockOf(directory, low - 1));
  const uint32_t i = block.LowerBound(name);
  if (i == block.count || block.name(i) != name) return std::optional<ErofsDirEntry>();
  const Dirent dirent = block.dirent(i);
  const uint8_t type = ReaddirType(dirent.type);
  if (type == DT_UNKNOWN) return Corrupt(directory.inode.nid, "an entry of unknown type");
  return std::optional<ErofsDirEntry>({block.name(i), dirent.nid, type});
}

Result<std::optional<ErofsDirEntry>> ErofsReader::Lookup(Nid directory,
                                                         std::string_view name) const {
  ASSIGN_OR_RETURN(const Node node, ParseDirectory(directory));
  if (!IsEntryName(name) || IsDot(name)) return std::optional<ErofsDirEntry>();
  return Search(node, name);
}

Status ErofsReader::CheckDots(Nid directory, Nid parent) const {
  ASSIGN_OR_RETURN(const Node node, ParseDirectory(directory));
  ASSIGN_OR_RETURN(const std::optional<ErofsDirEntry> self, Search(node, "."));
  ASSIGN_OR_RETURN(const std::optional<ErofsDirEntry> up, Search(node, ".."));
  if (!self || self->nid != directory || self->type != DT_DIR || !up || up->nid != parent ||
      up->type != DT_DIR) {
    return Corrupt(directory, "'.' or '..' does not name itself or its parent");
  }
  return Ok();
}

ErofsReader::Bookmark ErofsReader::FindBookmark(Nid directory, uint64_t first) const {
  const std::lock_guard lock(bookmarks_mutex_);
  const Bookmark& bookmark = bookmarks_[directory % bookmarks_.size()];
  if (bookmark.directory == directory && bookmark.first <= first) return bookmark;
  return Bookmark{directory, 0, 0};
}

void ErofsReader::KeepBookmark(const Bookmark& bookmark) const {
  const std::lock_guard lock(bookmarks_mutex_);
  bookmarks_[bookmark.directory % bookmarks_.size()] = bookmark;
}

Status ErofsReader::ReadDirectory(Nid directory, uint64_t first,
                                  const std::function<bool(const ErofsDirEntry&)>& visit) const {
  ASSIGN_OR_RETURN(const Node node, ParseDirectory(directory));
  const uint64_t blocks = BlocksOf(node.inode.size);
  Bookmark at{directory, 0, 0};
  if (first > 0 && blocks >= kBookmarkBlocksMin) at = FindBookmark(directory, first);
  std::string_view previous;
  for (; at.block < blocks; ++at.block) {
    ASSIGN_OR_RETURN(const DirBlock block, BlockOf(node, at.block));
    uint64_t entries = block.count;
    if (block.name(0) <= "..") entries -= (block.Has(".") ? 1 : 0) + (block.Has("..") ? 1 : 0);
    if (at.first + entries <= first) {
      at.first += entries;
      continue;
    }
    uint64_t index = at.first;
    for (uint32_t i = 0; i < block.count; ++i) {
      const std::string_view name = block.name(i);
      if (IsDot(name)) continue;
      if (index++ < first) continue;
      const Dirent dirent = block.dirent(i);
      const ErofsDirEntry entry{name, dirent.nid, ReaddirType(dirent.type)};
      if (!IsEntryName(name) || name <= previous || entry.type == DT_UNKNOWN) {
        return Corrupt(directory, "a bad entry, or names out of order");
      }
      previous = name;
      if (visit(entry)) continue;
      if (blocks >= kBookmarkBlocksMin) KeepBookmark(at);
      return Ok();
    }
    at.first += entries;
  }
  return Ok();
}

}  // namespace strata::imaged
