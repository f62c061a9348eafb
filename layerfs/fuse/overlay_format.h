// The names and encodings that overlayfs keeps in its upper directory (fs/overlayfs in Linux;
// Documentation/filesystems/overlayfs.rst). Pure functions, thread-safe.
#pragma once

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace strata::layerfs {

inline constexpr char kOpaqueXattr[] = "trusted.overlay.opaque";      // "y": hides the lower one.
inline constexpr char kRedirectXattr[] = "trusted.overlay.redirect";  // Where the lower one is.
inline constexpr char kMetacopyXattr[] = "trusted.overlay.metacopy";  // The data is still below.
inline constexpr char kOriginXattr[] = "trusted.overlay.origin";      // Handle of the lower inode.
inline constexpr char kImpureXattr[] = "trusted.overlay.impure";      // "y": holds origin entries.
inline constexpr char kNlinkXattr[] = "trusted.overlay.nlink";        // Of indexed hard links.

inline bool IsWhiteout(const struct stat& st) {
  return S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

using Uuid = std::array<uint8_t, 16>;

// struct ovl_fb with the file handle that EROFS makes of a nid.
std::string EncodeOrigin(const Uuid& uuid, uint64_t nid);
// The name of a hard link's entry in <work_dir>/index.
std::string IndexName(std::string_view origin);
// kNlinkXattr of an inode that has `links` names in the union, and `lower_links` below.
std::string EncodeLinkCount(uint64_t links, uint64_t lower_links);
// nullopt: not a handle of this EROFS image (another file system's, or damaged).
std::optional<uint64_t> DecodeOrigin(const Uuid& uuid, std::string_view bytes);

}  // namespace strata::layerfs
