// Tree: the file tree of one layer, or of a whole image, in memory. Importers build it, the EROFS
// writer stores it, Flatten merges several into one.
//
// A layer's tree may hold whiteouts (character device 0:0) and opaque directories, with the meaning
// of overlayfs (Documentation/filesystems/overlayfs.rst); a flattened tree holds neither.
// Attributes are canonical here: no `trusted.overlay.*` of our own (the writer adds them), and a
// foreign `trusted.overlay.*` that was imported is kept under its own name, uninterpreted (the
// writer escapes it, the reader unescapes it).
//
// Ownership: the tree owns its inodes; an InodeIndex stays valid until the tree dies or a layer is
// applied to it. A reference to an Inode is valid as long as its index. Not thread-safe; const
// access may be concurrent.
// Memory: about 300 bytes per entry, bounded by TreeLimits.
#pragma once

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "common/xattr.h"

namespace strata::imaged {

using InodeIndex = uint32_t;

// Regular files up to this size live inside the manifest; larger ones are objects of the store.
// Below it a file costs less in the manifest than an inode and a block of its own on disk.
inline constexpr uint64_t kInlineSizeMax = 512;

struct TreeLimits {
  uint64_t entries_max = 2'000'000;
  uint64_t xattr_bytes_max_per_inode = 64 * 1024;  // All names and values of one inode.
  uint64_t metadata_bytes_max = 1ull << 30;        // Names, targets, inline data and xattrs in all.
  uint32_t depth_max = 1024;
};

struct Inode {
  uint32_t mode = 0;  // S_IFMT | permissions, as in st_mode.
  uint32_t uid = 0;   // Canonical: as inside the container.
  uint32_t gid = 0;
  uint32_t nlink = 0;  // Number of directory entries; kept by Tree.
  dev_t rdev = 0;      // Character and block devices.
  int64_t mtime_s = 0;
  uint32_t mtime_ns = 0;
  bool opaque = false;        // Directory that hides what lower layers hold at its path.
  uint64_t size = 0;          // Regular file: bytes of content.
  Digest object;              // Regular file: its content in the store; zero when it is inline.
  std::string data;           // Regular file: inline content. Symbolic link: its target.
  std::vector<Xattr> xattrs;  // Sorted by name, unique.
  // Directory: entries by name, in byte order. Null in everything else.
  std::unique_ptr<std::map<std::string, InodeIndex, std::less<>>> children;

  bool IsDirectory() const { return S_ISDIR(mode); }
  bool IsRegular() const { return S_ISREG(mode); }
  bool IsWhiteout() const { return S_ISCHR(mode) && rdev == makedev(0, 0); }
};

// A copy that belongs to no tree: no names, no entries, not opaque.
Inode CopyWithoutEntries(const Inode& from);

class Tree {
 public:
  static constexpr InodeIndex kRoot = 0;

  // A tree with an empty root directory (mode 0755, owner 0:0, time 0).
  explicit Tree(const TreeLimits& limits = {});
  Tree(Tree&&) = default;
  Tree& operator=(Tree&&) = default;

  const TreeLimits& limits() const { return limits_; }
  // Every inode ever added: also those that have no name (any more).
  size_t inode_count() const { return inodes_.size(); }
  // Names, the root not counted.
  uint64_t entry_count() const { return entry_count_; }
  const Inode& inode(InodeIndex index) const { return inodes_[index]; }
  // The caller may change everything but nlink, children and the file type.
  Inode& mutable_inode(InodeIndex index) { return inodes_[index]; }

  // Takes `inode` into the tree, with no name yet; sorts its xattrs (`children` is made for a
  // directory, nlink starts at 0). kResourceExhausted beyond the limits, kInvalidArgument for
  // attributes that are not possible (CheckInode).
  Result<InodeIndex> AddInode(Inode inode);

  // Names `child` in `parent`. kInvalidArgument for a bad name ("", ".", "..", a '/' or NUL, more
  // than 255 bytes), a parent that is no directory, a second name of a directory or a directory
  // below itself; kAlreadyExists when the name is taken; kResourceExhausted beyond the limits.
  Status Link(InodeIndex parent, std::string_view name, InodeIndex child);
  // Removes the name (and for a directory everything below it). A non-directory that lost its last
  // name keeps its attributes and may be linked again. kNotFound.
  Status Unlink(InodeIndex parent, std::string_view name);
  // Gives a directory the mode, owner, time and xattrs of another. Errors as AddInode.
  Status CopyAttributes(InodeIndex directory, const Inode& from);

  std::optional<InodeIndex> Lookup(InodeIndex parent, std::string_view name) const;
  // `path` is relative to the root: "" or "etc/passwd". Follows no symbolic links.
  std::optional<InodeIndex> Find(std::string_view path) const;

  // Depth first, parents before children, names in byte order. `path` is relative, the root is "".
  // A hard-linked inode is visited at each of its names. The first error ends the walk.
  using Visitor = std::function<Status(const std::string& path, InodeIndex index)>;
  Status Walk(const Visitor& visit) const;

 private:
  friend Status ApplyLayer(const Tree& layer, Tree* base);
  Status Charge(uint64_t entries, uint64_t bytes);
  // Sets the depth of `child` and of the directories below it. Changes nothing on error.
  Status Descend(InodeIndex parent, InodeIndex child);
  void Release(InodeIndex child);
  // A tree of the inodes that have a name; this one is left empty.
  Result<Tree> Compacted();

  TreeLimits limits_;
  std::deque<Inode> inodes_;
  std::deque<uint32_t> depths_;  // Of directories, by InodeIndex; 0 for the rest.
  uint64_t entry_count_ = 0;
  uint64_t metadata_bytes_ = 0;
};

// kInvalidArgument with the reason when `name` cannot be a directory entry.
Status CheckName(std::string_view name);
// kInvalidArgument with the reason when a manifest cannot express the attributes: an unknown type,
// content that contradicts size, an empty or over-long target, an xattr outside user., trusted.,
// security. and the POSIX ACLs, a value past 65535 bytes, a device or time out of range.
Status CheckInode(const Inode& inode);
// Names and values of all attributes, as TreeLimits counts them.
uint64_t XattrBytes(const Inode& inode);

// Puts `layer` on top of `*base`: whiteouts and opaque directories take effect and are gone
// afterwards. Hard links within a layer stay linked. `*base` may be renumbered, and is unspecified
// after an error.
Status ApplyLayer(const Tree& layer, Tree* base);

}  // namespace strata::imaged
