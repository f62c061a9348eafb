#include "common/xattr.h"

#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>

namespace strata {
namespace {

// The f*xattr calls are the quicker ones, but refuse O_PATH descriptors (EBADF); the magic link
// names the same inode for any descriptor. Answers what one of the two does.
template <typename OnFd, typename OnPath>
auto OnEither(int fd, OnFd on_fd, OnPath on_path) {
  const auto result = on_fd();
  if (result >= 0 || errno != EBADF) return result;
  return on_path(("/proc/self/fd/" + std::to_string(fd)).c_str());
}

// Calls `read(buffer, size)` until the buffer is large enough for what it answers.
template <typename Read>
Result<std::string> ReadGrowing(const char* what, Read read) {
  std::string buffer(256, '\0');
  while (true) {
    const ssize_t n = read(buffer.data(), buffer.size());
    if (n >= 0) {
      buffer.resize(static_cast<size_t>(n));
      return buffer;
    }
    if (errno != ERANGE) return Errno(what);
    const ssize_t size = read(nullptr, 0);
    if (size < 0) return Errno(what);
    buffer.resize(static_cast<size_t>(size) + 256);
  }
}

}  // namespace

Result<std::string> GetXattr(int fd, const std::string& name) {
  auto value = ReadGrowing("getxattr", [&](char* data, size_t size) {
    return OnEither(
        fd, [&] { return ::fgetxattr(fd, name.c_str(), data, size); },
        [&](const char* path) { return ::getxattr(path, name.c_str(), data, size); });
  });
  if (!value.ok()) {
    const int error = value.error().sys_errno();
    if (error == ENODATA || error == EOPNOTSUPP) {
      return Error(Code::kNotFound, "no attribute " + name, error);
    }
    return value.error().Wrap(name);
  }
  return value;
}

Result<std::vector<Xattr>> ReadXattrs(int fd) {
  auto names = ReadGrowing("listxattr", [&](char* data, size_t size) {
    return OnEither(
        fd, [&] { return ::flistxattr(fd, data, size); },
        [&](const char* path) { return ::listxattr(path, data, size); });
  });
  if (!names.ok()) {
    if (names.error().sys_errno() == EOPNOTSUPP) return std::vector<Xattr>();
    return names.error();
  }
  std::vector<Xattr> xattrs;
  for (size_t at = 0; at < names->size();) {
    std::string name = names->c_str() + at;
    at += name.size() + 1;
    auto value = GetXattr(fd, name);
    if (!value.ok()) {
      if (value.error().code() == Code::kNotFound) continue;  // Removed since it was listed.
      return value.error();
    }
    xattrs.push_back({std::move(name), std::move(*value)});
  }
  std::sort(xattrs.begin(), xattrs.end());
  return xattrs;
}

Status SetXattr(int fd, const std::string& name, std::string_view value, int flags) {
  const int result = OnEither(
      fd, [&] { return ::fsetxattr(fd, name.c_str(), value.data(), value.size(), flags); },
      [&](const char* path) {
        return ::setxattr(path, name.c_str(), value.data(), value.size(), flags);
      });
  if (result != 0) return Errno("setxattr " + name);
  return Ok();
}

Status RemoveXattr(int fd, const std::string& name) {
  const int result = OnEither(
      fd, [&] { return ::fremovexattr(fd, name.c_str()); },
      [&](const char* path) { return ::removexattr(path, name.c_str()); });
  if (result != 0 && errno != ENODATA) return Errno("removexattr " + name);
  return Ok();
}

}  // namespace strata
