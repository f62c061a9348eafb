// Files: whole reads and writes that retry EINTR and short counts, and writes that survive a crash.
//
// "Durable" means: after Ok() the bytes and the directory entry are on stable storage (fdatasync of
// the file, rename, fsync of the directory). All functions are thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata {

// openat(2) with O_CLOEXEC added; the error names the path.
Result<UniqueFd> OpenAt(int dir_fd, const std::string& path, int flags, mode_t mode = 0);
Result<UniqueFd> Open(const std::string& path, int flags, mode_t mode = 0);

// Writes all of `data`.
Status WriteAll(int fd, std::string_view data);
Status PWriteAll(int fd, std::string_view data, uint64_t offset);
// Reads exactly `size` bytes; kCorrupt when the file ends before.
Status PReadExactly(int fd, void* buffer, size_t size, uint64_t offset);
// Reads until end of file; kResourceExhausted beyond `limit_bytes`.
Result<std::string> ReadAll(int fd, size_t limit_bytes);
Result<std::string> ReadFile(const std::string& path, size_t limit_bytes = 64u << 20);

// Replaces `path` with `data`, atomically and durably.
Status WriteFileDurably(const std::string& path, std::string_view data, mode_t mode = 0644);
// The same for several files of `directory`, each atomically, for about as many commits of the file
// system as one of them takes. `first` is called before any is replaced, and its error is that of
// all. Answers are in the order of `files`.
struct NamedData {
  std::string name;
  std::string data;
};
std::vector<Status> WriteFilesDurably(
    const std::string& directory, const std::vector<NamedData>& files, mode_t mode,
    const std::function<Status()>& first = [] { return Ok(); });
// Replaces `path`, atomically but without syncing: for state that is rebuilt after a crash.
Status WriteFileAtomically(const std::string& path, std::string_view data, mode_t mode = 0644);

Status FsyncDirectory(const std::string& path);
// syncfs(2) on the file system that holds `path`.
Status SyncFileSystem(const std::string& path);

// Asks the file system to place subdirectories of `path` far from each other (FS_TOPDIR_FL, the
// "T" of chattr(1)). On ext4 files are made near their directory, and for minutes after a mass
// deletion every new inode there searches past the deleted ones (fs/ext4/ialloc.c,
// recently_deleted): making 8,000 files took 0.25 s in spread directories, 1 to 5 s in others. A
// file system without the flag is left as it is.
Status SpreadSubdirectories(const std::string& path);

// mkdir -p.
Status MakeDirectories(const std::string& path, mode_t mode = 0755);
// rm -rf; follows no symlink, and does not cross into another mount. Missing is Ok.
Status RemoveTree(const std::string& path);
// realpath(3): absolute, without symbolic links. The path has to exist.
Result<std::string> CanonicalPath(const std::string& path);
bool PathExists(const std::string& path);

// A directory of its own under `parent`, removed with everything in it at the end.
class TemporaryDirectory {
 public:
  static Result<TemporaryDirectory> Create(const std::string& parent,
                                           const std::string& prefix = "tmp.");
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::move(other.path_)) {
    other.path_.clear();
  }
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace strata
