#include "imaged/manifest/erofs_format.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace strata::imaged::erofs {
namespace {

constexpr uint32_t kCrc32cPolynomial = 0x82F63B78;  // Reflected.

constexpr std::array<uint32_t, 256> MakeCrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kCrc32cPolynomial : 0);
    table[i] = crc;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = MakeCrcTable();

// EROFS_FT_* count up from 0 in this order.
constexpr uint32_t kModes[] = {0, S_IFREG, S_IFDIR, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK, S_IFLNK};

}  // namespace

uint16_t ChunkBitsFor(uint64_t size) {
  const int bits = size <= 1 ? 0 : std::bit_width(size - 1);
  return static_cast<uint16_t>(
      std::clamp<int>(bits - static_cast<int>(kBlockBits), 0, kChunkBitsMask));
}

uint32_t EncodeDevice(uint64_t rdev) {
  const uint32_t major = ::major(rdev);
  const uint32_t minor = ::minor(rdev);
  return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}

uint64_t DecodeDevice(uint32_t packed) {
  return ::makedev((packed & 0xfff00) >> 8, (packed & 0xff) | ((packed >> 12) & 0xfff00));
}

uint8_t DirentType(uint32_t mode) {
  const auto* found = std::find(std::begin(kModes), std::end(kModes), mode & S_IFMT);
  return found == std::end(kModes) ? 0 : static_cast<uint8_t>(found - kModes);
}

uint8_t ReaddirType(uint8_t dirent_type) {
  return dirent_type < std::size(kModes) ? static_cast<uint8_t>(IFTODT(kModes[dirent_type])) : 0;
}

uint32_t SuperChecksum(std::string_view block_from_super_offset) {
  constexpr size_t kField = offsetof(SuperBlock, checksum);
  uint32_t crc = ~0u;
  for (size_t i = 0; i < block_from_super_offset.size(); ++i) {
    const bool checksum = i >= kField && i < kField + sizeof(uint32_t);
    const auto byte = checksum ? uint8_t{0} : static_cast<uint8_t>(block_from_super_offset[i]);
    crc = kCrcTable[(crc ^ byte) & 0xff] ^ (crc >> 8);
  }
  return crc;
}

}  // namespace strata::imaged::erofs
