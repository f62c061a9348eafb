// The part of EROFS that manifests use, as it lies on disk (Linux, fs/erofs/erofs_fs.h). Private to
// imaged/manifest. All integers are little-endian; an inode's address is its number ("nid") times
// 32. docs/formats.md says which choices of the format a manifest makes.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

namespace strata::imaged::erofs {

static_assert(std::endian::native == std::endian::little, "the structures are read in place");

inline constexpr uint32_t kMagic = 0xE0F5E1E2;
inline constexpr uint32_t kSuperOffset = 1024;
inline constexpr uint32_t kBlockBits = 12;
inline constexpr uint32_t kBlockSize = 1u << kBlockBits;
inline constexpr uint32_t kSlotSize = 32;

inline constexpr uint32_t kCompatSuperChecksum = 0x1;
inline constexpr uint32_t kCompatMtime = 0x2;
inline constexpr uint32_t kCompatXattrFilter = 0x4;
inline constexpr uint32_t kIncompatChunkedFile = 0x4;

// Our version, in the volume's name: what the conventions in docs/formats.md count up.
inline constexpr char kVolumeName[16] = "strata-1";

struct SuperBlock {
  uint32_t magic;
  uint32_t checksum;  // CRC-32C of this block from kSuperOffset on, with this field zero.
  uint32_t feature_compat;
  uint8_t block_bits;
  uint8_t ext_slots;
  uint16_t root_nid;
  uint64_t inodes;
  uint64_t build_time;
  uint32_t build_time_ns;
  uint32_t blocks;
  uint32_t meta_block;
  uint32_t xattr_block;
  uint8_t uuid[16];
  char volume_name[16];
  uint32_t feature_incompat;
  uint16_t compression;
  uint16_t extra_devices;
  uint16_t device_slot;
  uint8_t dir_block_bits;
  uint8_t xattr_prefix_count;
  uint32_t xattr_prefix_start;
  uint64_t packed_nid;
  uint8_t xattr_filter_reserved;
  uint8_t reserved[23];
};
static_assert(sizeof(SuperBlock) == 128);

inline constexpr uint32_t kMetaOffset = kSuperOffset + sizeof(SuperBlock);  // The first inode.

enum class Layout : uint8_t { kPlain = 0, kInline = 2, kChunked = 4 };

inline constexpr uint16_t kExtendedBit = 0x1;  // Of ExtendedInode::format; the layout is above it.
inline constexpr uint32_t kLayoutShift = 1;
inline constexpr uint16_t kChunkBitsMask = 0x1f;
inline constexpr uint32_t kNullAddress = 0xffffffff;  // A hole.

struct ExtendedInode {
  uint16_t format;
  uint16_t xattr_count;  // 0, or 1 + (bytes after the xattr header) / 4.
  uint16_t mode;
  uint16_t reserved;
  uint64_t size;
  uint32_t u;  // First data block; device number; chunk format. By layout and type.
  uint32_t ino;
  uint32_t uid;
  uint32_t gid;
  int64_t mtime;
  uint32_t mtime_ns;
  uint32_t nlink;
  uint8_t reserved2[16];
};
static_assert(sizeof(ExtendedInode) == 64);

struct XattrHeader {
  uint32_t name_filter;  // A set bit: no attribute whose name hashes to it.
  uint8_t shared_count;
  uint8_t reserved[7];
};
static_assert(sizeof(XattrHeader) == 12);

struct XattrEntry {  // Then the name without its prefix and the value; padded to 4 bytes.
  uint8_t name_size;
  uint8_t prefix;
  uint16_t value_size;
};
static_assert(sizeof(XattrEntry) == 4);

struct [[gnu::packed]] Dirent {  // An array of them starts a directory block, the names follow.
  uint64_t nid;
  uint16_t name_offset;
  uint8_t type;
  uint8_t reserved;
};
static_assert(sizeof(Dirent) == 12);

// Bytes of inline attributes with their header.
inline constexpr uint32_t XattrArea(uint16_t xattr_count) {
  return xattr_count == 0 ? 0 : sizeof(XattrHeader) + 4u * (xattr_count - 1u);
}
inline constexpr uint32_t kXattrAreaMax = XattrArea(0xffff);

inline constexpr uint64_t AlignUp(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}
inline constexpr uint64_t BlocksOf(uint64_t bytes) {
  return AlignUp(bytes, kBlockSize) >> kBlockBits;
}

// Chunks of `block << bits` bytes, as few as the format allows for a file of `size` bytes.
uint16_t ChunkBitsFor(uint64_t size);
inline constexpr uint64_t ChunksOf(uint64_t size, uint16_t bits) {
  return size == 0 ? 0 : ((size - 1) >> (kBlockBits + bits)) + 1;
}

// Device numbers as the kernel's new_encode_dev() packs them.
uint32_t EncodeDevice(uint64_t rdev);
uint64_t DecodeDevice(uint32_t packed);

uint8_t DirentType(uint32_t mode);  // S_IFMT -> EROFS_FT_*.
// EROFS_FT_* -> DT_*; 0 (DT_UNKNOWN) for what is neither.
uint8_t ReaddirType(uint8_t dirent_type);

// CRC-32C without the final inversion, as the superblock wants it.
uint32_t SuperChecksum(std::string_view block_from_super_offset);

}  // namespace strata::imaged::erofs
