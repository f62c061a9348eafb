#include "imaged/archive/directory_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "common/file_io.h"
#include "common/printable.h"

namespace strata::imaged {
namespace {

// Longer paths are opened piece by piece.
constexpr size_t kPathStep = 3000;

Result<UniqueFd> OpenBeneath(int dir_fd, const std::string& path, uint64_t flags,
                             uint64_t resolve) {
  open_how how{};
  how.flags = flags | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = resolve | RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  while (true) {
    const long fd = ::syscall(SYS_openat2, dir_fd, path.c_str(), &how, sizeof(how));
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    // EAGAIN: a rename somewhere raced with the check that the path stays beneath.
    if (errno != EINTR && errno != EAGAIN) return Errno("open");
  }
}

// The directory at `path`, ready to be listed.
Result<UniqueFd> OpenDirectory(int root, std::string_view path) {
  UniqueFd held;
  int base = root;
  while (path.size() > kPathStep) {
    const size_t slash = path.rfind('/', kPathStep);
    ASSIGN_OR_RETURN(UniqueFd next, OpenBeneath(base, std::string(path.substr(0, slash)),
                                                O_PATH | O_DIRECTORY, RESOLVE_NO_XDEV));
    held = std::move(next);
    base = held.get();
    path.remove_prefix(slash + 1);
  }
  return OpenBeneath(base, path.empty() ? "." : std::string(path), O_RDONLY | O_DIRECTORY,
                     RESOLVE_NO_XDEV);
}

Result<std::vector<std::string>> ReadNames(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) return Errno("dup");
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(copy.get()), &::closedir);
  if (stream == nullptr) return Errno("opendir");
  (void)copy.release();  // The stream owns it now.
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return Errno("readdir");
  std::sort(names.begin(), names.end());
  return names;
}

bool Vanished(const Error& error) {
  return error.sys_errno() == ENOENT || error.sys_errno() == ENOTDIR ||
         error.sys_errno() == ESTALE || error.sys_errno() == ELOOP;
}

Result<WalkedFile> OpenFile(int dir_fd, const std::string& name) {
  WalkedFile file;
  auto fd = OpenBeneath(dir_fd, name, O_PATH, RESOLVE_NO_XDEV);
  if (!fd.ok() && fd.error().sys_errno() == EXDEV) {
    file.mount_point = true;
    fd = OpenBeneath(dir_fd, name, O_PATH, 0);
  }
  if (!fd.ok()) return fd.error();
  file.fd = std::move(*fd);
  if (::fstat(file.fd.get(), &file.st) != 0) return Errno("stat");
  return file;
}

class Walk {
 public:
  explicit Walk(const std::function<Status(WalkedFile)>& visit) : visit_(visit) {}

  Status Run(const std::string& root) {
    ASSIGN_OR_RETURN(root_, Open(root, O_PATH | O_DIRECTORY));
    WalkedFile file;
    ASSIGN_OR_RETURN(file.fd, OpenAt(root_.get(), ".", O_PATH | O_DIRECTORY), root);
    if (::fstat(file.fd.get(), &file.st) != 0) return Errno("stat " + root);
    RETURN_IF_ERROR(visit_(std::move(file)));
    pending_.push_back("");
    while (!pending_.empty()) {
      const std::string path = std::move(pending_.back());
      pending_.pop_back();
      RETURN_IF_ERROR(VisitDirectory(path), root + "/" + Printable(path));
    }
    return Ok();
  }

 private:
  Status VisitDirectory(const std::string& path) {
    auto directory = OpenDirectory(root_.get(), path);
    if (!directory.ok()) return Vanished(directory.error()) ? Ok() : Status(directory.error());
    ASSIGN_OR_RETURN(const std::vector<std::string> names, ReadNames(directory->get()));
    const size_t first = pending_.size();
    for (const std::string& name : names) {
      auto file = OpenFile(directory->get(), name);
      if (!file.ok()) {
        if (Vanished(file.error())) continue;
        return file.error().Wrap(Printable(name));
      }
      file->path = path.empty() ? name : path + "/" + name;
      if (S_ISDIR(file->st.st_mode) && !file->mount_point) pending_.push_back(file->path);
      RETURN_IF_ERROR(visit_(std::move(*file)), Printable(name));
    }
    // The last one is taken first.
    std::reverse(pending_.begin() + static_cast<ptrdiff_t>(first), pending_.end());
    return Ok();
  }

  const std::function<Status(WalkedFile)>& visit_;
  UniqueFd root_;
  std::vector<std::string> pending_;  // Directories that were visited and not yet entered.
};

}  // namespace

Status WalkDirectory(const std::string& root, const std::function<Status(WalkedFile)>& visit) {
  return Walk(visit).Run(root);
}

}  // namespace strata::imaged
