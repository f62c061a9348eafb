// UpperStore: the writable side of the union, in overlayfs's on-disk format, and its work
// directory.
//
// An upper inode is referred to by its file handle (open_by_handle_at(2)), so that nothing breaks
// when its names change and no descriptor is held per inode; directories that are in use keep
// theirs in a small LRU. Where the file system has no handles, and for files without a name, the
// reference holds an O_PATH descriptor instead.
//
// <work_dir>/work is ours while we run and emptied at Open; what overlayfs keeps beside it (index/)
// is left alone, but for hard links that are on their way up. Whoever opens the store has the
// upper's lock (layerfs/upper_lock.h). Thread-safe.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::layerfs {

using SharedFd = std::shared_ptr<const UniqueFd>;

struct UpperRef {
  uint64_t ino = 0;  // 0: there is no upper inode.
  int handle_type = 0;
  uint32_t handle_size = 0;
  std::array<unsigned char, 40> handle{};
  SharedFd pinned;  // O_PATH or better; used instead of the handle when set.

  explicit operator bool() const { return ino != 0; }
};

// "/proc/self/fd/N": for the calls that refuse O_PATH descriptors.
class ProcPath {
 public:
  explicit ProcPath(int fd);
  const char* c_str() const { return text_; }

 private:
  char text_[32];
};

// chmod(2) and utimensat(2) of what `fd` is open on, which may be O_PATH.
Status ChangeMode(int fd, mode_t mode);
Status ChangeTimes(int fd, const timespec times[2]);

// The times of an upper directory, from before a name appears in it that was in the union already.
class DirectoryTimes {
 public:
  static Result<DirectoryTimes> Read(int dir_fd);  // `dir_fd` may be O_PATH, and stays open.
  void Restore() const;                            // Best effort: a failure is logged.

 private:
  int dir_fd_ = -1;
  timespec times_[2] = {};
};

class UpperStore {
 public:
  static Result<std::unique_ptr<UpperStore>> Open(const std::string& upper_dir,
                                                  const std::string& work_dir);

  int root_fd() const { return root_.get(); }
  int work_fd() const { return work_.get(); }
  const std::string& work_dir() const { return work_dir_; }

  Result<UpperRef> MakeRef(int fd, uint64_t ino) const;
  // A reference that keeps `fd` (or a duplicate of its inode) alive: for unlinked inodes.
  static UpperRef Pin(const UpperRef& ref, UniqueFd fd);

  // O_PATH, valid for *at() calls with AT_EMPTY_PATH and through ProcPath.
  Result<SharedFd> OpenPath(const UpperRef& ref) const;
  // A descriptor with its own offset and `flags`, which must hold an access mode.
  Result<UniqueFd> OpenFile(const UpperRef& ref, int flags) const;
  // O_PATH descriptor of a directory, cached.
  Result<SharedFd> Directory(const UpperRef& ref);
  // To be called when a directory has been removed.
  void DropDirectory(uint64_t ino);

  // A name in the work directory that is not used yet.
  std::string NewWorkName();
  // Best effort: what stays is cleared at the next Open.
  void RemoveFromWork(const std::string& name) const;
  // An entry of overlayfs's index, <work_dir>/index, made of what is in the work directory. It
  // outlives a crash. Answers the index's descriptor, valid as long as the store.
  Result<int> MoveToIndex(const std::string& work_name, const std::string& index_name);
  void RemoveFromIndex(const std::string& index_name) const;
  // Makes a whiteout under a free `name`. kAlreadyExists with EEXIST when it is taken.
  Status MakeWhiteout(int dir_fd, const std::string& name);

 private:
  UpperStore() = default;

  std::string work_dir_;
  UniqueFd root_;
  UniqueFd work_;
  std::atomic<uint64_t> next_work_name_{0};

  std::mutex index_mutex_;  // Guards the making of index_; held for moments.
  UniqueFd index_;

  std::mutex whiteout_mutex_;  // Guards whiteout_.
  std::string whiteout_;       // Name in work/ of the inode that whiteouts are links of.

  using Lru = std::list<std::pair<uint64_t, SharedFd>>;
  std::mutex lru_mutex_;  // Guards lru_ and lru_index_.
  Lru lru_;               // Most recently used first.
  std::unordered_map<uint64_t, Lru::iterator> lru_index_;
};

}  // namespace strata::layerfs
