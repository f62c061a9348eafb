// TestImage: a small image for tests, described once and made twice: as a flattened tree with
// objects (what Strata mounts), and as a plain directory (what other file systems are given).
// Needs root for devices, owners and trusted attributes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "common/xattr.h"
#include "imaged/manifest/tree.h"

namespace strata::testing {

struct EntryAttributes {
  uint32_t mode = 0;  // Permissions; 0: 0755 for a directory, 0644 otherwise.
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<Xattr> xattrs;
};

// Errors of the description itself are bugs of the test and stop it.
class TestImage {
 public:
  // 2025-01-01: every entry's mtime, so that a changed one is seen.
  static constexpr int64_t kMtime = 1735689600;

  TestImage();
  void Directory(std::string_view path, EntryAttributes attributes = {});
  void File(std::string_view path, std::string content, EntryAttributes attributes = {});
  void Symlink(std::string_view path, std::string_view target);
  // `type` is S_IFCHR, S_IFBLK, S_IFIFO or S_IFSOCK.
  void Special(std::string_view path, uint32_t type, dev_t rdev, EntryAttributes attributes = {});
  void HardLink(std::string_view path, std::string_view existing);

  const imaged::Tree& tree() const { return tree_; }
  // <directory>/tree and <directory>/objects.
  Status WriteImage(const std::string& directory) const;
  // The same content in the existing, empty `directory`.
  Status WritePlain(const std::string& directory) const;

 private:
  imaged::InodeIndex Add(std::string_view path, imaged::Inode inode,
                         const EntryAttributes& attributes);
  void Name(std::string_view path, imaged::InodeIndex index);
  Status WriteInode(const std::string& path, imaged::InodeIndex index,
                    std::vector<std::string>* made) const;

  imaged::Tree tree_;
  std::vector<std::string> contents_;  // By inode index; only of regular files.
};

}  // namespace strata::testing
