// Model: a POSIX file tree in memory, as root sees it. It says what each operation must answer and
// what the tree must then look like; every driver is held to it, and a plain ext4 directory is held
// to it too, which is what tells that the model is right.
//
// Not modelled: permissions (the caller is root), access times, the link counts of directories.
#pragma once

#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tests/property/operation.h"
#include "tests/property/posix_acl.h"

namespace strata::property {

using Id = uint32_t;
inline constexpr Id kRootId = 0;

// What is known of a modification time.
enum class MtimeKind {
  kExact,    // `seconds`, no nanoseconds
  kRecent,   // since the test began
  kUnknown,  // either way is right
};

struct Inode {
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  dev_t rdev = 0;
  uint32_t links = 1;                         // 0: has no name.
  std::string data;                           // A file's content, a symbolic link's target.
  std::map<std::string, std::string> xattrs;  // Without ACLs.
  std::optional<Acl> access_acl;
  std::optional<Acl> default_acl;
  MtimeKind mtime_kind = MtimeKind::kRecent;
  int64_t mtime_seconds = 0;
  std::map<std::string, Id> entries;  // Of a directory.
  Id parent = kRootId;                // Of a directory.
  uint32_t handles = 0;
  bool linkable = false;  // Made without a name, and none was given since.
  bool from_image = false;
  // The image's content, while nobody has written: readers of that time may go on seeing it.
  std::shared_ptr<const std::string> image_data;

  bool IsDirectory() const { return S_ISDIR(mode); }
  bool IsRegular() const { return S_ISREG(mode); }
  bool IsSymlink() const { return S_ISLNK(mode); }
};

struct Handle {
  Id inode = kRootId;
  bool reads = false;
  bool writes = false;
  bool appends = false;
  std::shared_ptr<const std::string> image_data;  // What it may see instead of the file's data.
};

// What an operation must answer.
struct Expected {
  bool skip = false;  // Means nothing here: not to be carried out.
  int error = 0;
  std::optional<std::string> bytes;        // Read: exactly these,
  std::optional<std::string> other_bytes;  // or these, from a reader older than a copy-up.
  std::optional<Id> inode;                 // Stat, seek: of this inode.
  uint64_t count = 0;                      // Bytes that a write or copy must have moved.
};

// What kernel overlayfs is known to do otherwise (tests/conformance/differences.cc).
struct Quirks {
  // Data that follows metadata in a copy-up sets the modification time.
  bool opening_sets_mtime = false;
  // A rename that is refused may change a directory's modification time.
  bool directory_times_vary = false;
  // A file of the image that is open and has lost its name: it shows its old link count, and
  // changes of it may be refused with EEXIST.
  bool unlinked_files_stay_lower = false;
};

class Model {
 public:
  explicit Model(Quirks quirks = {});
  // The tree of the image. A path that ends what exists.
  Id AddImage(const std::string& path, Inode inode);
  void LinkImage(const std::string& path, const std::string& existing);

  // Says what `operation` answers, and does it.
  Expected Apply(const Operation& operation);

  const Inode& inode(Id id) const { return inodes_.at(id); }
  const Quirks& quirks() const { return quirks_; }
  bool Has(Id id) const { return inodes_.contains(id); }
  const std::optional<Handle>& handle(int slot) const { return handles_[Index(slot)]; }
  std::optional<Id> Find(const std::string& path, bool follow = false) const;
  // An open that was to succeed did not, for a reason that is allowed.
  void CloseSlot(int slot) { Detach(slot); }
  void Restore(Id id, Inode inode) { inodes_.at(id) = std::move(inode); }

 private:
  struct Place {  // Where a path leads.
    int error = 0;
    Id dir = kRootId;
    std::string name;  // Empty: the root.
    std::optional<Id> id;
  };
  static size_t Index(int slot) { return static_cast<size_t>(slot); }
  Place Resolve(const std::string& path, bool follow) const;
  Inode& At(Id id) { return inodes_.at(id); }

  // model.cc
  Id Insert(const Place& place, Inode inode);
  void Name(const Place& place, Id id);
  void Unname(const Place& place);
  void DropIfUnused(Id id);
  Inode NewInode(Id dir, mode_t mode, mode_t umask) const;
  bool IsBelow(Id id, Id ancestor) const;
  void Touch(Id id) { At(id).mtime_kind = MtimeKind::kRecent; }

  Expected Make(const Operation& op);
  Expected Rmdir(const Operation& op);
  Expected Unlink(const Operation& op);
  Expected Rename(const Operation& op);
  Expected Link(const Operation& op);
  Expected List(const Operation& op);
  Expected Readlink(const Operation& op);

  // model_files.cc
  Expected Create(const Operation& op);
  Expected Open(const Operation& op);
  Expected Reopen(const Operation& op);
  Expected Tmpfile(const Operation& op);
  Expected LinkFd(const Operation& op);
  Expected ReadFile(const Operation& op);
  Expected Truncate(const Operation& op);
  Expected OnHandle(const Operation& op);
  Expected Write(const Operation& op, const Handle& handle);
  Expected Read(const Operation& op, const Handle& handle);
  Expected Allocate(const Operation& op, const Handle& handle);
  Expected CopyRange(const Operation& op, const Handle& handle);
  void Attach(int slot, Id id, int flags);
  void Detach(int slot);
  void SetData(Id id, size_t at, std::string_view bytes);
  void Resize(Id id, size_t size);

  // model_attributes.cc
  Expected ChangeAttributes(const Operation& op);
  Expected SetXattr(const Operation& op, Id id);
  Expected ChangeAcl(const Operation& op, Id id);
  void Chmod(Id id, mode_t mode);

  Quirks quirks_;
  std::unordered_map<Id, Inode> inodes_;
  Id next_ = kRootId + 1;
  std::array<std::optional<Handle>, kSlots> handles_;
};

std::string_view XattrNameOf(uint64_t which);

}  // namespace strata::property
