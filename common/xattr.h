// Extended attributes of open files and paths (xattr(7)), without following symlinks.
// Thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace strata {

struct Xattr {
  std::string name;
  std::string value;
  auto operator<=>(const Xattr&) const = default;
};

// All attributes of the file behind `fd`, sorted by name. An O_PATH fd is accepted (read through
// /proc/self/fd). A file system without attributes answers an empty list.
Result<std::vector<Xattr>> ReadXattrs(int fd);

// The value of one attribute; kNotFound when it is absent or the file system has none.
Result<std::string> GetXattr(int fd, const std::string& name);
// `flags`: XATTR_CREATE or XATTR_REPLACE.
Status SetXattr(int fd, const std::string& name, std::string_view value, int flags = 0);
Status RemoveXattr(int fd, const std::string& name);  // Absent is Ok.

}  // namespace strata
