// UnionFs: the union of one read-only tree and one upper directory (overlayfs's semantics and upper
// format), without FUSE: inodes and names in, attributes and descriptors out. The FUSE callbacks
// (ops_*.cc) and the tests stand on it.
//
// Names are single components, checked by the kernel. Permission checks are the caller's (the mount
// has default_permissions); all work is done with this process's rights. Every Error carries the
// errno for the application.
//
// Semantics that are not obvious:
//  - Every change of a lower inode copies it up first; changes of metadata copy metadata only.
//  - A lower inode with several names is copied up under all its visible names at once, so that
//    links stay linked. Where overlayfs's index (index=on) already holds such an inode, its missing
//    names are linked, and the index entry removed, when the union is opened. Our own copy-ups keep
//    such an entry while they link the names, so that a crash leaves no name behind.
//  - A renamed directory carries a redirect to its lower path; nothing gives EXDEV.
//  - RENAME_WHITEOUT and device 0:0 are refused (EINVAL, EPERM), as overlayfs does.
//  - Copy-up is atomic: built in the work directory, data on disk before the rename.
//
// Thread-safe. Lock order: docs/locks.md.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <functional>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "layerfs/fuse/inode.h"
#include "layerfs/fuse/lower.h"
#include "layerfs/fuse/upper.h"
#include "layerfs/root.h"

namespace strata::layerfs {

struct Entry {
  InodePtr inode;  // Null: there is no such name.
  struct stat attributes = {};
};

struct Caller {
  uid_t uid = 0;
  gid_t gid = 0;
  mode_t umask = 0;
};

// What SetAttributes changes; absent is left alone.
struct AttributeChange {
  std::optional<mode_t> mode;
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<uint64_t> size;
  std::optional<timespec> atime;  // tv_nsec may be UTIME_NOW.
  std::optional<timespec> mtime;
  bool keep_setid = true;  // A change of size leaves the set-id bits: the caller may (CAP_FSETID).
};

struct DirectoryEntry {
  std::string name;
  uint32_t type = 0;       // DT_*
  uint64_t lower_ino = 0;  // st_ino of an entry that is only in the tree, otherwise 0.
};

// What a server records of an inode, so that the next one finds it again.
struct InodeIdentity {
  uint64_t st_ino = 0;
  uint32_t type = 0;  // S_IFMT bits.
  std::optional<Nid> lower;
  UpperRef upper;  // Empty for what is only in the tree, as far as the server came to say.
};

enum class CopyUpMode {
  kMetadata,  // The data of a regular file may stay below.
  kData,
  kEmpty,  // The data will be discarded: an empty file.
};

class UnionFs {
 public:
  // kCorrupt: bad tree. REQUIRES: nobody else works on the upper (layerfs/upper_lock.h).
  static Result<std::unique_ptr<UnionFs>> Open(const RootSpec& spec);

  const InodePtr& root() const { return root_; }
  UpperStore& upper() { return *upper_; }
  // For the rest of this object's life; before it is used by several threads.
  void SetUpperObserver(UpperObserver* observer) { observer_ = observer; }
  const LowerTree& lower() const { return *lower_; }

  Result<Entry> Lookup(const InodePtr& dir, const std::string& name);
  Result<struct stat> GetAttributes(const InodePtr& inode);
  Result<struct stat> SetAttributes(const InodePtr& inode, const AttributeChange& change);
  Result<std::string> ReadLink(const InodePtr& inode);
  Result<struct statvfs> StatFileSystem();
  // The directory that holds a directory; the root is its own. Others: one that held it.
  InodePtr ParentOf(const InodePtr& inode);
  Status SyncDirectory(const InodePtr& dir, bool data_only);
  // Shows all names of the merged directory, without "." and "..", until `visit` answers false.
  // Takes 8 bytes of memory for each upper name of a directory that has a lower one.
  Status ReadDirectory(const InodePtr& dir,
                       const std::function<bool(const DirectoryEntry&)>& visit);

  // Regular file, device, fifo, socket or directory, by the type in `mode`. `*opened`, when given,
  // becomes a descriptor of it: for reading and writing when it is a regular file, otherwise
  // O_PATH.
  Result<Entry> MakeNode(const InodePtr& dir, const std::string& name, mode_t mode, dev_t rdev,
                         const Caller& caller, UniqueFd* opened = nullptr);
  // As MakeNode and MakeSymlink for a name that an earlier server has made for the same request and
  // perhaps not finished. kAlreadyExists when it is of another type.
  Result<Entry> FinishMade(const InodePtr& dir, const std::string& name, mode_t mode,
                           const Caller& caller, UniqueFd* opened = nullptr);
  Result<Entry> MakeSymlink(const InodePtr& dir, const std::string& name, const std::string& target,
                            const Caller& caller);
  // O_TMPFILE: an inode without a name, to which Link may give one.
  Result<Entry> MakeUnnamed(const InodePtr& dir, mode_t mode, const Caller& caller);
  Result<Entry> Link(const InodePtr& inode, const InodePtr& dir, const std::string& name);
  Status Unlink(const InodePtr& dir, const std::string& name);
  Status RemoveDirectory(const InodePtr& dir, const std::string& name);
  // `flags`: RENAME_NOREPLACE or RENAME_EXCHANGE.
  Status Rename(const InodePtr& from_dir, const std::string& from, const InodePtr& to_dir,
                const std::string& to, unsigned flags);

  // Sees to it that `inode` is in the upper. Replacing the data of an open file begins a new epoch.
  // `*made`: a descriptor of the upper inode, when this call has made it.
  Status CopyUp(const InodePtr& inode, CopyUpMode mode, SharedFd* made = nullptr);
  // The bytes of a regular file: opened with `flags` (O_PATH too), or in memory.
  // REQUIRES: inode.mutex held; for writing, a CopyUp before.
  Result<LowerTree::Content> OpenContentLocked(const Inode& inode, int flags) const;

  // The inodes of an earlier server, in the order of `identities`; null for what does not exist any
  // more. REQUIRES: nothing was looked up yet; all descriptors in the identities are open.
  Result<std::vector<InodePtr>> Restore(const std::vector<InodeIdentity>& identities);

  // Extended attributes under the names that applications use.
  Result<std::string> GetXattr(const InodePtr& inode, const std::string& name);
  Result<std::vector<std::string>> ListXattrs(const InodePtr& inode);
  Status SetXattr(const InodePtr& inode, const std::string& name, std::string_view value,
                  int flags);
  Status RemoveXattr(const InodePtr& inode, const std::string& name);

 private:
  // What overlayfs says about an upper inode.
  struct Marks {
    bool opaque = false;
    bool metacopy = false;
    bool impure = false;
    bool has_default_acl = false;
    bool bare = false;  // Nothing but what overlayfs says.
    std::optional<std::string> redirect;
    std::optional<std::string> origin;
  };
  // Creates under (directory, name) and answers an O_PATH or better descriptor of it.
  using Maker = std::function<Result<UniqueFd>(int dir_fd, const std::string& name)>;
  struct Alias {
    InodePtr dir;
    std::string name;
  };
  struct LowerName {
    Nid dir = 0;
    std::string name;
  };

  UnionFs() = default;

  // union_lookup.cc
  Status LoadRoot();
  static Result<Marks> ReadMarks(int fd, uint32_t type);
  Result<Entry> LookUpper(const InodePtr& dir, const std::string& name, int dir_fd,
                          const struct stat& st);
  Result<std::optional<Nid>> LowerOfDirectory(const InodePtr& dir, const std::string& name,
                                              const Marks& marks, std::string* path) const;
  Result<std::optional<Nid>> LowerOfFile(const InodePtr& dir, const std::string& name,
                                         const Marks& marks, uint32_t type) const;
  Result<Entry> LookLower(const InodePtr& dir, const std::string& name);
  Result<bool> LowerHas(const InodePtr& dir, const std::string& name) const;
  void FillAttributes(const Inode& inode, bool metacopy, struct stat* st) const;
  static UpperRef RefOf(const InodePtr& inode);
  // A descriptor of the upper inode, fit for *at() calls with AT_EMPTY_PATH and for ProcPath: an
  // open file's, or one of its own. REQUIRES: copied up.
  Result<SharedFd> UpperFd(const InodePtr& inode) const;
  // Of the upper inode behind `fd`.
  Result<struct stat> UpperAttributes(Inode& inode, int fd) const;
  Status ProbeBareness();
  Result<SharedFd> UpperDirectory(const InodePtr& dir);  // REQUIRES: copied up.
  Result<Entry> AdoptNew(const InodePtr& dir, const std::string& name, int fd,
                         const struct stat& st);

  // union_restore.cc
  class TreeNames;
  Result<InodePtr> RestoreUpper(const InodeIdentity& identity, const TreeNames& names);
  Result<InodePtr> RestoreLower(const InodeIdentity& identity, const TreeNames& names);
  void FindParents(const std::vector<InodePtr>& inodes);

  // union_create.cc
  Result<Entry> PlaceNew(const InodePtr& dir, const std::string& name, mode_t mode,
                         const Caller& caller, const Maker& make, UniqueFd* opened = nullptr);
  Status ReplaceWhiteout(const InodePtr& dir, const std::string& name, int dir_fd,
                         bool is_directory,
                         const std::function<Status(int, const std::string&)>& make);
  Result<struct stat> FinishNew(int dir_fd, int fd, mode_t mode, const Caller& caller);

  // copy_up.cc; REQUIRES: tree_mutex_ held, shared or exclusively.
  Status CopyUpDirectoryLocked(const InodePtr& inode, SharedFd* made = nullptr);
  Status CopyUpFileLocked(const InodePtr& inode, CopyUpMode mode, SharedFd* made);
  Status CopyUpOne(const InodePtr& inode, CopyUpMode mode, const std::vector<Alias>& names,
                   SharedFd* made);
  Status PlaceCopy(const Inode& inode, const std::string& work_name,
                   const std::vector<Alias>& names, std::vector<SharedFd>* linked);
  Status CopyUpDataInPlace(const InodePtr& inode, CopyUpMode mode);
  Result<UniqueFd> BuildCopy(const Inode& inode, CopyUpMode mode, bool redirect,
                             const std::string& work_name);
  Status WriteContent(Nid nid, int fd);
  Status MarkImpure(const InodePtr& dir);
  static void ReplaceData(Inode* inode);
  Result<std::string> LowerPathOf(const Inode& inode) const;
  // REQUIRES: inode->change_mutex held.
  Status SetFileRedirect(const InodePtr& inode);

  // aliases.cc; REQUIRES: tree_mutex_ held exclusively.
  Status BuildAliasMap();
  Status FindRedirects(const InodePtr& dir);
  Result<std::vector<Alias>> VisibleNames(Nid nid);
  Result<InodePtr> LocateLowerDirectory(Nid nid);
  Status ConvertIndex(const std::string& index_dir);

  // union_remove.cc
  Status RemoveUpperName(const InodePtr& dir, const std::string& name, bool is_directory,
                         bool needs_whiteout);
  Status SwapForWhiteout(int dir_fd, const std::string& name);
  Status MakeEmptyAndOpaque(const InodePtr& inode, int dir_fd, const std::string& name);
  Status CheckEmpty(const InodePtr& dir);
  Result<UniqueFd> HoldLastName(const InodePtr& inode, int dir_fd, const std::string& name) const;
  void FinishRemoval(const InodePtr& inode, UniqueFd held);

  // union_rename.cc
  Status PrepareMove(const InodePtr& inode, const InodePtr& to_dir, const std::string& to);
  struct Move {
    InodePtr from_dir;
    std::string from;
    InodePtr to_dir;
    std::string to;
    unsigned flags = 0;
  };
  Status CheckMove(const Move& move, const Entry& source, const Entry& target);
  Status RenameInUpper(const Move& move, const Entry& source, const Entry& target);
  void Moved(const InodePtr& inode, const InodePtr& dir, const std::string& name);

  // REQUIRES: inode.mutex held.
  void TellObserver(const Inode& inode) const {
    if (observer_ != nullptr) observer_->UpperChanged(inode);
  }

  std::unique_ptr<LowerTree> lower_;
  std::unique_ptr<UpperStore> upper_;
  UpperObserver* observer_ = nullptr;
  InodeTable inodes_;  // Before root_: inodes leave the table when they die.
  InodePtr root_;
  bool can_be_bare_ = false;  // New files come without extended attributes.

  // Guards the path of every directory: shared while a path is used, exclusive for renames of
  // directories and for copy-ups of hard links.
  std::shared_mutex tree_mutex_;
  // The rest is built at the first use, under tree_mutex_ held exclusively.
  bool alias_map_built_ = false;
  std::unordered_multimap<Nid, LowerName> aliases_;     // Of inodes with several names.
  std::unordered_map<Nid, LowerName> directory_names_;  // Of every directory of the tree.
  std::unordered_map<Nid, InodePtr> redirected_;        // Lower directories that were renamed.
};

}  // namespace strata::layerfs
