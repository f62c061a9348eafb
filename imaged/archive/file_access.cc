#include "imaged/archive/file_access.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "common/file_io.h"

namespace strata::imaged {

Result<std::string> ReadLinkTarget(int fd) {
  std::string target(4096, '\0');  // PATH_MAX: a target has at most 4095 bytes.
  const ssize_t n = ::readlinkat(fd, "", target.data(), target.size());
  if (n < 0) return Errno("readlink");
  target.resize(static_cast<size_t>(n));
  return target;
}

Result<UniqueFd> ReopenForReading(int fd) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  auto opened = Open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOATIME);
  if (opened.ok() || opened.error().sys_errno() != EPERM) return opened;
  return Open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);  // Not our file.
}

bool IsPortableXattr(std::string_view name) {
  return name.starts_with("user.") || name.starts_with("trusted.") ||
         name.starts_with("security.") || name == "system.posix_acl_access" ||
         name == "system.posix_acl_default";
}

bool MayImportXattr(std::string_view name, bool caller_is_root) {
  if (caller_is_root || name == "security.capability") return true;
  return !name.starts_with("trusted.") && !name.starts_with("security.");
}

}  // namespace strata::imaged
