// Reads a manifest (see erofs_writer.h) through a memory map. Every offset and length in it is
// checked before use: a corrupt or hostile image gives kCorrupt, never a fault or an endless loop.
//
// Errors: kCorrupt for bytes that are no manifest, kUnsupported for one of a later version,
// kInvalidArgument (with the errno) for a call that does not fit the inode's type.
//
// The image must not be changed while it is open (manifests are immutable by construction).
// Thread-safe after Open. Views into the map live as long as the reader. GetInode, Lookup,
// ReadDirectory, ReadLink, GetObject, GetInlineData and IsOpaque allocate nothing unless they fail.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "common/xattr.h"
#include "imaged/manifest/tree.h"

namespace strata::imaged {

// The number of an inode inside its image: its 32-byte slot, as in EROFS. The kernel shows it as
// st_ino.
using Nid = uint64_t;

struct ErofsInode {
  Nid nid = 0;
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t nlink = 0;
  dev_t rdev = 0;
  uint64_t size = 0;  // Regular: bytes of content. Symlink: length of the target.
  int64_t mtime_s = 0;
  uint32_t mtime_ns = 0;
};

struct ErofsDirEntry {
  std::string_view name;  // Never "." or "..".
  Nid nid = 0;
  uint32_t type = 0;  // DT_*, as in readdir(3).
};

class ErofsReader {
 public:
  static Result<std::unique_ptr<ErofsReader>> Open(const std::string& path);
  // An image in memory that outlives the reader (tests, fuzzing).
  static Result<std::unique_ptr<ErofsReader>> FromMemory(std::string_view image);
  ~ErofsReader();

  Nid root() const { return root_; }
  // The uuid of the superblock: derived from the content, so equal images have equal uuids.
  const std::array<uint8_t, 16>& uuid() const { return uuid_; }

  Result<ErofsInode> GetInode(Nid nid) const;
  // The entry called `name`, by binary search; nullopt when there is none.
  Result<std::optional<ErofsDirEntry>> Lookup(Nid directory, std::string_view name) const;
  // Entries from the `first`th on, in byte order of names, until `visit` returns false. Going on
  // where a call stopped is as fast as one long call.
  Status ReadDirectory(Nid directory, uint64_t first,
                       const std::function<bool(const ErofsDirEntry&)>& visit) const;
  // Canonical attributes: our own trusted.overlay.* left out, foreign ones unescaped.
  Result<std::vector<Xattr>> GetXattrs(Nid nid) const;
  Result<std::string_view> ReadLink(Nid nid) const;
  // The object that holds a regular file's content; a zero digest when the content is inline.
  Result<Digest> GetObject(Nid nid) const;
  Result<std::string_view> GetInlineData(Nid nid) const;
  Result<bool> IsOpaque(Nid directory) const;
  // All of these in one, as a Tree holds them: no entries, `nlink` as in the image.
  Result<Inode> ReadInode(Nid nid) const;

  // The whole image as a Tree, every inode checked. Errors name the path of what is wrong.
  Result<Tree> LoadTree(const TreeLimits& limits = {}) const;

 private:
  struct Node;
  struct DirBlock;
  // Where a listing stopped: block `block` of a directory starts with entry `first`.
  struct Bookmark {
    Nid directory = 0;
    uint64_t first = 0;
    uint64_t block = 0;
  };

  ErofsReader() = default;
  Status CheckSuperBlock();
  Result<Node> Parse(Nid nid) const;
  Result<Node> ParseDirectory(Nid nid) const;
  Result<std::string_view> Content(const Node& node) const;
  Result<DirBlock> BlockOf(const Node& directory, uint64_t block) const;
  Result<std::optional<ErofsDirEntry>> Search(const Node& directory, std::string_view name) const;
  // kCorrupt unless "." and ".." name these.
  Status CheckDots(Nid directory, Nid parent) const;
  Bookmark FindBookmark(Nid directory, uint64_t first) const;
  void KeepBookmark(const Bookmark& bookmark) const;

  friend class ErofsLoader;

  std::string_view image_;
  bool mapped_ = false;
  Nid root_ = 0;
  std::array<uint8_t, 16> uuid_{};
  mutable std::mutex bookmarks_mutex_;            // Guards bookmarks_.
  mutable std::array<Bookmark, 16> bookmarks_{};  // By the directory's number.
};

// The names under which a foreign `trusted.overlay.X` is stored, as overlayfs itself escapes it
// (trusted.overlay.overlay.X), and back.
std::string EscapeXattrName(std::string_view canonical);
// nullopt: the attribute is the format's own and not part of the tree.
std::optional<std::string> UnescapeXattrName(std::string_view stored);

}  // namespace strata::imaged
