// Small steps that reading a file for an archive or a layer takes, given an O_PATH descriptor of
// it. Thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::imaged {

Result<std::string> ReadLinkTarget(int fd);

// A readable descriptor of the same inode: no name is looked up again. Does not touch atime where
// that is allowed. REQUIRES: a regular file.
Result<UniqueFd> ReopenForReading(int fd);

// Attributes that a layer can hold: user., trusted., security. and POSIX ACLs.
bool IsPortableXattr(std::string_view name);

// What the caller of an import may bring in: root everything, others neither trusted.* nor
// security.* other than security.capability.
bool MayImportXattr(std::string_view name, bool caller_is_root);

}  // namespace strata::imaged
