// LowerTree: the read-only side of the union. Names and attributes come from the flattened EROFS
// tree, contents from the object folder or, for tiny files, from the tree itself.
//
// Ids are shown shifted (layerfs/root.h, IdShift): in attributes, in ACL entries, and as the root
// id of file capabilities. An id outside of the range is shown as 65534 (the kernel's overflow id,
// as an idmapped mount shows it) and cannot be copied up (EOVERFLOW).
//
// Thread-safe. Views live as long as the tree.
#pragma once

#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "common/xattr.h"
#include "imaged/manifest/erofs_reader.h"
#include "layerfs/fuse/overlay_format.h"
#include "layerfs/root.h"

namespace strata::layerfs {

using imaged::Nid;

// What OpenContent says of an object that is missing or damaged, where ProvideContent may help.
inline bool IsDamagedContent(const Error& error) {
  return error.code() == Code::kCorrupt && error.sys_errno() == EIO;
}

class LowerTree {
 public:
  static Result<std::unique_ptr<LowerTree>> Open(const std::string& tree_path,
                                                 const std::string& objects_dir,
                                                 const std::optional<IdShift>& id_shift,
                                                 std::optional<ObjectMountSpec> object_mount = {});

  Nid root() const { return reader_->root(); }
  // Numbers from here on are no nid of the tree: the upper's inodes are numbered above it.
  uint64_t first_free_ino() const { return first_free_ino_; }

  Result<std::optional<imaged::ErofsDirEntry>> Lookup(Nid directory, std::string_view name) const;
  // Absolute path from the tree's root, no symbolic links followed.
  Result<std::optional<Nid>> Resolve(std::string_view path) const;
  Status ReadDirectory(Nid directory,
                       const std::function<bool(const imaged::ErofsDirEntry&)>& visit) const;

  Result<struct stat> Stat(Nid nid) const;
  Result<std::string> ReadLink(Nid nid) const;
  Result<std::vector<Xattr>> GetXattrs(Nid nid) const;
  // kUnsupported with EOVERFLOW when an id of the inode is outside of the shifted range.
  Status CheckIds(Nid nid) const;

  // A regular file's content: an object, or bytes of the tree.
  struct Content {
    UniqueFd fd;             // Valid for an object.
    std::string_view bytes;  // Otherwise.
  };
  // `flags`: O_RDONLY or O_PATH. EIO, with the object's digest, when it is missing or has another
  // size than the tree says.
  Result<Content> OpenContent(Nid nid, int flags) const;
  // After that EIO: asks the object mount for the object. Takes as long as a fetch; no lock that
  // others wait for may be held. The same EIO when there is no object mount, or it cannot either.
  Status ProvideContent(Nid nid) const;

  std::string Origin(Nid nid) const { return EncodeOrigin(reader_->uuid(), nid); }
  std::optional<Nid> NidOfOrigin(std::string_view bytes) const;
  const imaged::ErofsReader& reader() const { return *reader_; }

 private:
  LowerTree() = default;
  uint32_t Shift(uint32_t id) const;
  std::string ShiftAcl(std::string value) const;
  std::string ShiftCapability(std::string value) const;

  std::unique_ptr<imaged::ErofsReader> reader_;
  UniqueFd objects_;
  std::string objects_dir_;
  std::optional<ObjectMountSpec> object_mount_;
  std::optional<IdShift> id_shift_;
  uint64_t first_free_ino_ = 0;
};

}  // namespace strata::layerfs
