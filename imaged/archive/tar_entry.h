// Turns an entry of libarchive into an Inode, without content and links. Thread-safe.
#pragma once

#include <string>

#include "common/result.h"
#include "imaged/archive/import.h"
#include "imaged/manifest/tree.h"

struct archive_entry;

namespace strata::imaged {

// `name` is the entry's printable name, for warnings. A regular file comes back empty.
// What the caller may not bring in is refused or left out: device nodes are kPermissionDenied
// unless `caller_is_root` (a whiteout, character device 0:0, is none), and trusted.* and security.*
// attributes other than security.capability are dropped with a warning.
Result<Inode> InodeFromEntry(archive_entry* entry, const std::string& name, bool caller_is_root,
                             ImportWarnings* warnings);

}  // namespace strata::imaged
