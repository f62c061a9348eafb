// The marks that overlayfs leaves in an upper directory (Documentation/filesystems/overlayfs.rst,
// fs/overlayfs/overlayfs.h): what a save must understand and must not copy.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/xattr.h"

namespace strata::imaged {

struct OverlayMarks {
  bool opaque = false;    // Directory hides what is below.
  bool metacopy = false;  // Only metadata was copied up: the content is still the lower's.
  std::string redirect;   // Where in the lower it came from: "/absolute" or a sibling's name.
};

// Splits the attributes of an upper inode: the marks out, the rest (unescaped) stays in `*xattrs`.
OverlayMarks TakeOverlayMarks(std::vector<Xattr>* xattrs);

// The inode number in the lower file system that an overlay file handle (struct ovl_fb, as in
// `trusted.overlay.origin`) names; nullopt for a handle of a kind that EROFS does not make.
std::optional<uint64_t> LowerInodeOf(std::string_view handle);

// The same from the name of an entry in the work directory's index/: the handle in hex digits.
std::optional<uint64_t> LowerInodeOfIndexName(std::string_view name);

}  // namespace strata::imaged
