#include "imaged/save/overlay_marks.h"

#include <cstring>

#include "imaged/manifest/erofs_reader.h"

namespace strata::imaged {
namespace {

constexpr std::string_view kPrefix = "trusted.overlay.";

// struct ovl_fb: version, magic, len, flags, type, uuid[16], then the file system's own words.
constexpr size_t kHandleHeader = 5 + 16;
constexpr uint8_t kHandleMagic = 0xfb;
constexpr uint8_t kTypeIno32Gen = 1;     // FILEID_INO32_GEN: 32-bit inode, generation.
constexpr uint8_t kTypeIno64Gen = 0x81;  // FILEID_INO64_GEN: high word, low word, generation.

uint32_t WordAt(std::string_view bytes, size_t offset) {
  uint32_t word;
  std::memcpy(&word, bytes.data() + offset, sizeof(word));
  return word;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

OverlayMarks TakeOverlayMarks(std::vector<Xattr>* xattrs) {
  OverlayMarks marks;
  std::vector<Xattr> rest;
  for (Xattr& xattr : *xattrs) {
    if (!xattr.name.starts_with(kPrefix)) {
      rest.push_back(std::move(xattr));
      continue;
    }
    const std::string_view mark = std::string_view(xattr.name).substr(kPrefix.size());
    if (mark == "opaque") {
      marks.opaque = xattr.value == "y";
    } else if (mark == "metacopy") {
      marks.metacopy = true;
    } else if (mark == "redirect") {
      marks.redirect = xattr.value;
    } else if (std::optional<std::string> name = UnescapeXattrName(xattr.name)) {
      rest.push_back({std::move(*name), std::move(xattr.value)});
    }
  }
  *xattrs = std::move(rest);
  return marks;
}

std::optional<uint64_t> LowerInodeOf(std::string_view handle) {
  if (handle.size() < kHandleHeader || static_cast<uint8_t>(handle[1]) != kHandleMagic ||
      static_cast<uint8_t>(handle[2]) != handle.size()) {
    return std::nullopt;
  }
  const auto type = static_cast<uint8_t>(handle[4]);
  const size_t words = (handle.size() - kHandleHeader) / 4;
  if (type == kTypeIno32Gen && words >= 2) return WordAt(handle, kHandleHeader);
  if (type == kTypeIno64Gen && words >= 3) {
    return uint64_t{WordAt(handle, kHandleHeader)} << 32 | WordAt(handle, kHandleHeader + 4);
  }
  return std::nullopt;
}

std::optional<uint64_t> LowerInodeOfIndexName(std::string_view name) {
  if (name.size() % 2 != 0 || name.size() > 255) return std::nullopt;
  std::string handle;
  for (size_t i = 0; i < name.size(); i += 2) {
    const int high = HexValue(name[i]);
    const int low = HexValue(name[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    handle.push_back(static_cast<char>(high << 4 | low));
  }
  return LowerInodeOf(handle);
}

}  // namespace strata::imaged
