// Inode: one inode of the union, and the table in which there is one object per inode.
//
// An inode is a lower one, an upper one, or both (merged directory, copied-up file). It is found by
// its nid and by its upper inode number, so that all names of a hard link meet in one Inode. It
// lives as long as somebody holds it: the node table for the kernel, a child directory for its
// path.
//
// st_ino is the nid for everything that comes from the tree, before and after copy-up and across
// remounts (trusted.overlay.origin), and above first_free_ino() for what is only in the upper.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "layerfs/fuse/lower.h"
#include "layerfs/fuse/upper.h"

namespace strata::layerfs {

class Inode;
class InodeTable;

// Is told of every change of an inode's upper reference after the kernel may know the inode, with
// the inode's mutex held.
class UpperObserver {
 public:
  virtual ~UpperObserver() = default;
  virtual void UpperChanged(const Inode& inode) = 0;
};

using InodePtr = std::shared_ptr<Inode>;

// What all open files of an inode share: one way of reading and writing while any of them lasts.
// Guarded by the inode's mutex.
struct OpenState {
  uint32_t count = 0;
  int32_t backing_id = 0;  // Not 0: the kernel passes reads and writes through.
  std::string_view bytes;  // The content, when it is in the tree itself.
  SharedFd fd;             // Otherwise; with passthrough, opened when it is first needed, or
  bool kept = false;       // kept from the file's creation (counted in the session).
};

class Inode {
 public:
  Inode(uint64_t number, uint32_t file_type, std::optional<Nid> lower_nid)
      : st_ino(number), type(file_type), lower(lower_nid) {}
  ~Inode();
  Inode(const Inode&) = delete;

  bool IsDirectory() const { return type == S_IFDIR; }
  bool IsRegular() const { return type == S_IFREG; }
  // The upper inode holds the data too. REQUIRES: mutex held.
  bool HasUpperData() const { return upper && !metacopy; }
  // The lower path of an entry of this directory, which has a lower one.
  std::string LowerPathOf(const std::string& entry) const {
    std::string path = lower_path;
    if (path.size() > 1) path += '/';
    path += entry;
    return path;
  }

  const uint64_t st_ino;
  const uint32_t type;  // S_IFMT bits.
  // Directory: what is merged below it (absent when opaque or new). Others: the inode it was copied
  // up from, which holds the data of a metadata-only copy-up.
  const std::optional<Nid> lower;
  // Directory with `lower`, or restored: its absolute path in the tree; constant.
  std::string lower_path;

  // Where it is in the union. Directories: guarded by UnionFs::tree_mutex_. Others: constant while
  // there is no upper inode (before a rename comes a copy-up), and not used afterwards.
  InodePtr parent;  // Null for the root.
  std::string name;

  // Held while the inode is copied up, changed or loses a name; taken before `mutex`.
  std::mutex change_mutex;
  // Guards what follows; held for moments only.
  std::mutex mutex;
  UpperRef upper;
  bool metacopy = false;         // The upper inode has only the metadata; the data is `lower`'s.
  bool unlinked = false;         // Has lost its last name.
  bool has_default_acl = false;  // Upper directory: files created in it inherit.
  bool impure = false;           // Upper directory that carries kImpureXattr.
  bool bare = false;             // The upper inode has no extended attributes to show.

  // Counts changes of a directory's names by a copy-up, which the kernel's directory lock does not
  // keep away from lookups.
  std::atomic<uint64_t> changes{0};

  // Counts replacements of the data under open files: a node of an older epoch cannot be opened.
  std::atomic<uint32_t> epoch{0};

  // The open files of the current epoch; null when there are none.
  std::shared_ptr<OpenState> open;

  // The kernel's number for it; guarded by NodeTable.
  uint64_t nodeid = 0;
  uint32_t nodeid_epoch = 0;

 private:
  friend class InodeTable;
  InodeTable* table_ = nullptr;
  uint64_t table_upper_ino_ = 0;  // Keys under which the table knows it; guarded by its mutex.
  bool table_has_lower_ = false;
};

class InodeTable {
 public:
  InodePtr FindLower(Nid nid) const;
  InodePtr FindUpper(uint64_t ino) const;
  // Enters `inode` under its nid (when `by_lower`) and upper number, unless another inode has one
  // of them: then that one is the answer. Nobody else knows `inode` yet.
  InodePtr Enter(const InodePtr& inode, bool by_lower);
  // The copy-up of `inode` is about to get names under this number.
  void AddUpper(const InodePtr& inode, uint64_t ino);
  // The number will be used again by the file system.
  void DropUpper(uint64_t ino);

 private:
  friend class Inode;
  void Remove(const Inode* inode);

  mutable std::mutex mutex_;  // Guards both maps; a leaf.
  std::unordered_map<uint64_t, std::weak_ptr<Inode>> lower_;
  std::unordered_map<uint64_t, std::weak_ptr<Inode>> upper_;
};

}  // namespace strata::layerfs
