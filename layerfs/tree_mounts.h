// TreeMounts: EROFS mounts of trees that the roots of one process share, so that a further root of
// an image costs one overlayfs mount, however large the image is. One superblock per tree; one copy
// of the mount per id shift.
//
// Thread-safe; trees are mounted in parallel, one tree by one thread. Lower mounts live on in the
// unions that were made from them: forgetting a tree never disturbs a root.
//
// A kept mount holds the tree's file (its blocks stay on disk after unlink), so at most
// `trees_max` are kept, the least recently used goes first, and whoever deletes an image calls
// Forget.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "common/result.h"
#include "common/unique_fd.h"
#include "layerfs/root.h"

namespace strata::layerfs {

class TreeMounts {
 public:
  explicit TreeMounts(size_t trees_max = 64) : trees_max_(trees_max) {}

  // The detached mount of the tree with the shift applied. The answer keeps it alive.
  // kCorrupt, kNotFound; kUnsupported where detached mounts cannot be copied (before 6.15).
  Result<std::shared_ptr<const UniqueFd>> Get(const std::string& tree_path,
                                              const std::optional<IdShift>& shift);
  void Forget(const std::string& tree_path);

 private:
  struct FileId {
    dev_t device = 0;
    ino_t inode = 0;
    timespec changed = {};
    bool operator==(const FileId& other) const {
      return device == other.device && inode == other.inode &&
             changed.tv_sec == other.changed.tv_sec && changed.tv_nsec == other.changed.tv_nsec;
    }
  };
  using ShiftKey = std::pair<uint32_t, uint32_t>;  // First id and count; 0 and 0: not shifted.
  struct Entry {
    std::mutex mutex;  // Guards what follows. Taken after mutex_ was let go.
    FileId file;
    std::map<ShiftKey, std::shared_ptr<const UniqueFd>> mounts;
  };
  struct Slot {
    std::shared_ptr<Entry> entry;
    std::list<std::string>::iterator used;
  };

  static Result<FileId> Identify(const std::string& tree_path);
  static Result<std::shared_ptr<const UniqueFd>> MountIn(Entry& entry, const std::string& tree_path,
                                                         const std::optional<IdShift>& shift);
  std::shared_ptr<Entry> Use(const std::string& tree_path);

  const size_t trees_max_;
  std::mutex mutex_;              // Guards what follows.
  std::list<std::string> order_;  // Most recently used first.
  std::map<std::string, Slot> slots_;
};

// As MountRoot(Driver::kKernel, spec), with the tree's mount shared. Thread-safe.
Result<UniqueFd> MountKernelRoot(const RootSpec& spec, TreeMounts& trees);

}  // namespace strata::layerfs
