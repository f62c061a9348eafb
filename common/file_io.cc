#include "common/file_io.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "common/log.h"

namespace strata {

Result<UniqueFd> OpenAt(int dir_fd, const std::string& path, int flags, mode_t mode) {
  while (true) {
    const int fd = ::openat(dir_fd, path.c_str(), flags | O_CLOEXEC, mode);
    if (fd >= 0) return UniqueFd(fd);
    if (errno != EINTR) return Errno("open " + path);
  }
}

Result<UniqueFd> Open(const std::string& path, int flags, mode_t mode) {
  return OpenAt(AT_FDCWD, path, flags, mode);
}

Status WriteAll(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("write");
    data.remove_prefix(static_cast<size_t>(n));
  }
  return Ok();
}

Status PWriteAll(int fd, std::string_view data, uint64_t offset) {
  while (!data.empty()) {
    const ssize_t n = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("write");
    data.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return Ok();
}

Status PReadExactly(int fd, void* buffer, size_t size, uint64_t offset) {
  auto* out = static_cast<char*>(buffer);
  while (size > 0) {
    const ssize_t n = ::pread(fd, out, size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("read");
    if (n == 0) return Error(Code::kCorrupt, "the file ends too early");
    out += n;
    size -= static_cast<size_t>(n);
    offset += static_cast<uint64_t>(n);
  }
  return Ok();
}

Result<std::string> ReadAll(int fd, size_t limit_bytes) {
  std::string data;
  char buffer[64 * 1024];
  while (true) {
    const ssize_t n = ::read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno("read");
    if (n == 0) return data;
    if (data.size() + static_cast<size_t>(n) > limit_bytes) {
      return Error(Code::kResourceExhausted,
                   "larger than the limit of " + std::to_string(limit_bytes) + " bytes");
    }
    data.append(buffer, static_cast<size_t>(n));
  }
}

Result<std::string> ReadFile(const std::string& path, size_t limit_bytes) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDONLY));
  auto data = ReadAll(fd.get(), limit_bytes);
  if (!data.ok()) return data.error().Wrap(path);
  return data;
}

namespace {

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

constexpr size_t kFilesOpenMax = 128;

// A file that is to take the place of another. Without Finish nothing of it stays.
class Replacement {
 public:
  static Result<Replacement> Write(const std::string& path, std::string_view data, mode_t mode) {
    // Hidden, so that who lists the directory meanwhile does not take it for one of its files.
    const size_t name = path.rfind('/') + 1;
    std::string temporary = path.substr(0, name) + "." + path.substr(name) + ".XXXXXX";
    UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
    if (!fd.valid()) return Errno("create " + temporary);
    Replacement made(path, std::move(temporary), std::move(fd));
    RETURN_IF_ERROR(WriteAll(made.fd_.get(), data), made.temporary_);
    if (::fchmod(made.fd_.get(), mode) != 0) return Errno("chmod " + made.temporary_);
    return made;
  }
  Replacement(Replacement&& other) noexcept
      : path_(std::move(other.path_)),
        temporary_(std::exchange(other.temporary_, {})),
        fd_(std::move(other.fd_)) {}
  Replacement& operator=(Replacement&&) = delete;
  ~Replacement() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }

  // Has the file system choose blocks for it, so that one commit takes it along with others. An
  // error is Sync's.
  void StartWriting() { ::sync_file_range(fd_.get(), 0, 0, SYNC_FILE_RANGE_WRITE); }
  Status Sync() {
    if (::fsync(fd_.get()) != 0) return Errno("fsync " + temporary_);
    return Ok();
  }
  Status Finish() {
    RETURN_IF_ERROR(fd_.Close(), temporary_);
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) return Errno("rename to " + path_);
    temporary_.clear();
    return Ok();
  }

 private:
  Replacement(std::string path, std::string temporary, UniqueFd fd)
      : path_(std::move(path)), temporary_(std::move(temporary)), fd_(std::move(fd)) {}

  std::string path_;
  std::string temporary_;  // Empty: there is none any more.
  UniqueFd fd_;
};

}  // namespace

Status WriteFileDurably(const std::string& path, std::string_view data, mode_t mode) {
  ASSIGN_OR_RETURN(Replacement file, Replacement::Write(path, data, mode));
  RETURN_IF_ERROR(file.Sync());
  RETURN_IF_ERROR(file.Finish());
  return FsyncDirectory(ParentOf(path));
}

std::vector<Status> WriteFilesDurably(const std::string& directory,
                                      const std::vector<NamedData>& files, mode_t mode,
                                      const std::function<Status()>& first) {
  std::optional<Status> shared;
  std::vector<Status> results;
  for (size_t start = 0; start < files.size(); start += kFilesOpenMax) {
    const size_t end = std::min(files.size(), start + kFilesOpenMax);
    std::vector<Result<Replacement>> replacements;
    for (size_t i = start; i < end; ++i) {
      replacements.push_back(
          Replacement::Write(directory + "/" + files[i].name, files[i].data, mode));
      if (replacements.back().ok()) replacements.back()->StartWriting();
    }
    if (!shared.has_value()) shared = first();
    for (Result<Replacement>& file : replacements) {
      Status& result = results.emplace_back(*shared);
      if (result.ok()) result = file.ok() ? file->Sync() : Status(file.error());
    }
    for (size_t i = start; i < end; ++i) {
      if (results[i].ok()) results[i] = replacements[i - start]->Finish();
    }
  }
  const Status kept = FsyncDirectory(directory);
  for (Status& result : results) {
    if (result.ok()) result = kept;
  }
  return results;
}

Status WriteFileAtomically(const std::string& path, std::string_view data, mode_t mode) {
  ASSIGN_OR_RETURN(Replacement file, Replacement::Write(path, data, mode));
  return file.Finish();
}

Status FsyncDirectory(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) return Errno("fsync " + path);
  return Ok();
}

Status SyncFileSystem(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDONLY));
  if (::syncfs(fd.get()) != 0) return Errno("syncfs " + path);
  return Ok();
}

Status SpreadSubdirectories(const std::string& path) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDONLY | O_DIRECTORY));
  int flags = 0;
  if (::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) == 0) {
    flags |= FS_TOPDIR_FL;
    if (::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags) == 0) return Ok();
  }
  if (errno == ENOTTY || errno == EOPNOTSUPP || errno == ENOSYS) return Ok();
  return Errno("set the flags of " + path);
}

Status MakeDirectories(const std::string& path, mode_t mode) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string prefix = path.substr(0, slash);
    if (::mkdir(prefix.c_str(), mode) != 0 && errno != EEXIST) return Errno("mkdir " + prefix);
    if (slash == std::string::npos) return Ok();
  }
}

Result<std::string> CanonicalPath(const std::string& path) {
  char* const resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return Errno(path);
  std::string text = resolved;
  ::free(resolved);
  return text;
}

bool PathExists(const std::string& path) {
  struct stat st;
  return ::lstat(path.c_str(), &st) == 0;
}

Result<TemporaryDirectory> TemporaryDirectory::Create(const std::string& parent,
                                                      const std::string& prefix) {
  std::string path = parent + "/" + prefix + "XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return Errno("mkdtemp " + path);
  return TemporaryDirectory(std::move(path));
}

TemporaryDirectory::~TemporaryDirectory() {
  if (path_.empty()) return;
  if (Status status = RemoveTree(path_); !status.ok()) {
    LOG_WARNING("temporary directory stays behind: " + status.error().message());
  }
}

}  // namespace strata
