#include "layerfs/fuse/overlay_format.h"

#include <cstring>

namespace strata::layerfs {
namespace {

// struct ovl_fb: version, magic, length, flags, type, uuid[16], then the handle.
constexpr size_t kHeaderSize = 21;
constexpr size_t kHandleSize = 12;  // EROFS: high and low half of the nid, generation.
constexpr uint8_t kVersion = 0;
constexpr uint8_t kMagic = 0xfb;
constexpr uint8_t kFlagBigEndian = 1;
constexpr uint8_t kFlagAnyEndian = 2;
constexpr uint8_t kFileIdIno64Gen = 0x81;  // FILEID_INO64_GEN

uint32_t LoadWord(std::string_view bytes, size_t at) {
  uint32_t word;
  std::memcpy(&word, bytes.data() + at, sizeof(word));
  return word;
}

}  // namespace

std::string EncodeOrigin(const Uuid& uuid, uint64_t nid) {
  std::string bytes = {static_cast<char>(kVersion), static_cast<char>(kMagic),
                       static_cast<char>(kHeaderSize + kHandleSize), 0,
                       static_cast<char>(kFileIdIno64Gen)};
  bytes.append(reinterpret_cast<const char*>(uuid.data()), uuid.size());
  const uint32_t handle[3] = {static_cast<uint32_t>(nid >> 32), static_cast<uint32_t>(nid), 0};
  bytes.append(reinterpret_cast<const char*>(handle), sizeof(handle));
  return bytes;
}

std::string IndexName(std::string_view origin) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string name;
  for (const char c : origin) {
    const auto byte = static_cast<uint8_t>(c);
    name += {kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return name;
}

std::string EncodeLinkCount(uint64_t links, uint64_t lower_links) {
  const int64_t more = static_cast<int64_t>(links) - static_cast<int64_t>(lower_links);
  return (more < 0 ? "L" : "L+") + std::to_string(more);
}

std::optional<uint64_t> DecodeOrigin(const Uuid& uuid, std::string_view bytes) {
  if (bytes.size() != kHeaderSize + kHandleSize) return std::nullopt;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  if (byte(0) != kVersion || byte(1) != kMagic || byte(2) != bytes.size()) return std::nullopt;
  if ((byte(3) & kFlagBigEndian) != 0 && (byte(3) & kFlagAnyEndian) == 0) return std::nullopt;
  if (byte(4) != kFileIdIno64Gen) return std::nullopt;
  if (std::memcmp(bytes.data() + 5, uuid.data(), uuid.size()) != 0) return std::nullopt;
  return (static_cast<uint64_t>(LoadWord(bytes, kHeaderSize)) << 32) |
         LoadWord(bytes, kHeaderSize + 4);
}

}  // namespace strata::layerfs
