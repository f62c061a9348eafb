// Extended attributes as a manifest stores them: canonical names escaped, our own trusted.overlay.*
// added, all of them inline behind their inode. Private to imaged/manifest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/digest.h"
#include "common/result.h"
#include "imaged/manifest/tree.h"

namespace strata::imaged::erofs {

// Size of the attributes of `inode` with their header and padding; 0 without attributes.
uint64_t XattrAreaSize(const Inode& inode);
// Appends exactly XattrAreaSize(inode) bytes.
void AppendXattrArea(const Inode& inode, std::string* out);

// One attribute in place: views into the image.
struct StoredXattr {
  uint8_t prefix = 0;
  std::string_view suffix;
  std::string_view value;

  bool Is(uint8_t other_prefix, std::string_view other_suffix) const {
    return prefix == other_prefix && suffix == other_suffix;
  }
};

// The next attribute of `*area` (after the header), which loses it; nullopt at the end.
Result<std::optional<StoredXattr>> NextXattr(std::string_view* area);
// Its whole name; kCorrupt for a prefix that is not known.
Result<std::string> StoredName(const StoredXattr& xattr);

inline constexpr uint8_t kTrusted = 4;  // The prefix number of "trusted.".
inline constexpr std::string_view kOverlay = "overlay.";
inline constexpr std::string_view kOverlayEscape = "overlay.overlay.";
inline constexpr std::string_view kMetacopy = "overlay.metacopy";
inline constexpr std::string_view kRedirect = "overlay.redirect";
inline constexpr std::string_view kOpaque = "overlay.opaque";

// "/ab/cdef…": where overlayfs finds the object below the data-only lower.
std::string RedirectOf(const Digest& object);
Result<Digest> ParseRedirect(std::string_view redirect);

}  // namespace strata::imaged::erofs
