#include "vclusterd/shim/private_mounts.h"

#include <sched.h>
#include <sys/mount.h>

#include <algorithm>
#include <cerrno>

#include "common/file_io.h"

namespace strata::vcluster {
namespace {

// mountinfo writes blank, tab, newline and backslash as \ooo.
std::string Unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain.push_back(static_cast<char>((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 |
                                        (text[i + 3] - '0')));
      i += 3;
    } else {
      plain.push_back(text[i]);
    }
  }
  return plain;
}

// True when `path` is `ancestor` or below it.
bool IsBelow(std::string_view path, std::string_view ancestor) {
  if (ancestor == "/") return true;
  return path.starts_with(ancestor) &&
         (path.size() == ancestor.size() || path[ancestor.size()] == '/');
}

}  // namespace

std::vector<std::string> ParseMountPoints(std::string_view mountinfo) {
  std::vector<std::string> points;
  while (!mountinfo.empty()) {
    const size_t line_end = std::min(mountinfo.find('\n'), mountinfo.size());
    std::string_view line = mountinfo.substr(0, line_end);
    mountinfo.remove_prefix(std::min(line_end + 1, mountinfo.size()));
    // "id parent major:minor root MOUNT_POINT options …"
    bool ok = true;
    for (int field = 0; field < 4 && ok; ++field) {
      const size_t blank = line.find(' ');
      ok = blank != std::string_view::npos;
      if (ok) line.remove_prefix(blank + 1);
    }
    if (ok) points.push_back(Unescape(line.substr(0, line.find(' '))));
  }
  return points;
}

bool IsNeededMount(std::string_view mount_point, const std::vector<std::string>& needed) {
  if (mount_point == "/" || mount_point == "/proc" || IsBelow(mount_point, "/sys")) return true;
  // Devices may be mounts, too, where this host is a container. Below /dev/shm is what users mount.
  if (IsBelow(mount_point, "/dev") && !IsBelow(mount_point, "/dev/shm")) return true;
  return std::any_of(needed.begin(), needed.end(),
                     [&](const std::string& path) { return IsBelow(path, mount_point); });
}

Status EnterPrivateMounts(const std::vector<std::string>& needed) {
  if (::unshare(CLONE_NEWNS) != 0) return Errno("unshare the mount namespace");
  if (::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return Errno("make all mounts private");
  }
  ASSIGN_OR_RETURN(const std::string mountinfo, ReadFile("/proc/self/mountinfo"));
  std::vector<std::string> points = ParseMountPoints(mountinfo);
  for (auto point = points.rbegin(); point != points.rend(); ++point) {
    if (IsNeededMount(*point, needed)) continue;
    // EINVAL, ENOENT: it went away with one below or above it.
    if (::umount2(point->c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL &&
        errno != ENOENT) {
      return Errno("unmount " + *point);
    }
  }
  return Ok();
}

Status MakeLockedReadOnly(const std::string& path) {
  if (::mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return Errno("bind " + path);
  }
  const unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV;
  if (::mount(nullptr, path.c_str(), nullptr, flags, nullptr) != 0) {
    return Errno("make " + path + " read-only");
  }
  return Ok();
}

}  // namespace strata::vcluster
