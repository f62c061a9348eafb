#include "imaged/manifest/tree.h"

#include <algorithm>
#include <utility>

#include "common/log.h"

namespace strata::imaged {
namespace {

constexpr size_t kNameMax = 255;          // NAME_MAX, and EROFS_NAME_LEN.
constexpr size_t kTargetMax = 4095;       // PATH_MAX without its NUL.
constexpr size_t kXattrNameMax = 255;     // XATTR_NAME_MAX.
constexpr size_t kXattrValueMax = 65535;  // EROFS keeps the length in 16 bits.
// A bound on the chunk table of one file in a manifest (1,024 chunks of 8 TiB).
constexpr uint64_t kFileSizeMax = 1ull << 53;

Error Invalid(std::string message) { return Error(Code::kInvalidArgument, std::move(message)); }

Status CheckXattrName(const std::string& name) {
  if (name.size() > kXattrNameMax) return Invalid("an attribute name of more than 255 bytes");
  if (name.find('\0') != std::string::npos) return Invalid("an attribute name with a NUL byte");
  if (name == "system.posix_acl_access" || name == "system.posix_acl_default") return Ok();
  for (std::string_view prefix : {"user.", "trusted.", "security."}) {
    if (name.starts_with(prefix) && name.size() > prefix.size()) return Ok();
  }
  return Invalid("attribute '" + name +
                 "': only user., trusted., security. and POSIX ACLs can be "
                 "kept");
}

Status CheckXattrs(const std::vector<Xattr>& xattrs) {
  for (size_t i = 0; i < xattrs.size(); ++i) {
    const Xattr& xattr = xattrs[i];
    RETURN_IF_ERROR(CheckXattrName(xattr.name));
    if (xattr.value.size() > kXattrValueMax) {
      return Invalid("attribute '" + xattr.name + "' has " + std::to_string(xattr.value.size()) +
                     " bytes, the limit is " + std::to_string(kXattrValueMax));
    }
    if (i > 0 && xattrs[i - 1].name >= xattr.name) {
      return Invalid("attribute '" + xattr.name + "' is there twice or out of order");
    }
  }
  return Ok();
}

Status CheckRegular(const Inode& inode) {
  if (inode.size > kFileSizeMax) return Invalid("a file of more than 2^53 bytes");
  if (!inode.object.IsZero()) {
    if (!inode.data.empty()) return Invalid("a file with an object and inline content");
    if (inode.size == 0) return Invalid("an empty file with an object");
    return Ok();
  }
  if (inode.data.size() != inode.size) return Invalid("inline content that differs from the size");
  if (inode.size > kInlineSizeMax) {
    return Invalid("inline content of " + std::to_string(inode.size) + " bytes, the limit is " +
                   std::to_string(kInlineSizeMax));
  }
  return Ok();
}

Status CheckType(const Inode& inode) {
  switch (inode.mode & S_IFMT) {
    case S_IFREG:
      return CheckRegular(inode);
    case S_IFLNK:
      if (inode.data.empty() || inode.data.size() > kTargetMax) {
        return Invalid("a symbolic link's target must have 1 to 4095 bytes, not " +
                       std::to_string(inode.data.size()));
      }
      if (inode.data.find('\0') != std::string::npos) return Invalid("a target with a NUL byte");
      return Ok();
    case S_IFCHR:
    case S_IFBLK:
      if (::major(inode.rdev) >= 1u << 12 || ::minor(inode.rdev) >= 1u << 20) {
        return Invalid("device numbers beyond 12 + 20 bits");
      }
      return Ok();
    case S_IFDIR:
    case S_IFIFO:
    case S_IFSOCK:
      return Ok();
    default:
      return Invalid("a file type that is not known");
  }
}

uint64_t MetadataBytes(const Inode& inode) { return inode.data.size() + XattrBytes(inode); }

}  // namespace

Status CheckName(std::string_view name) {
  if (name.empty()) return Invalid("an empty name");
  if (name == "." || name == "..") return Invalid("'" + std::string(name) + "' as a name");
  if (name.size() > kNameMax) {
    return Invalid("a name of " + std::to_string(name.size()) + " bytes, the limit is 255: '" +
                   std::string(name.substr(0, 60)) + "…'");
  }
  if (name.find('/') != std::string_view::npos) return Invalid("a name with a slash");
  if (name.find('\0') != std::string_view::npos) return Invalid("a name with a NUL byte");
  return Ok();
}

Status CheckInode(const Inode& inode) {
  if ((inode.mode & ~static_cast<uint32_t>(S_IFMT | 07777)) != 0)
    return Invalid("a mode past 16 bits");
  if (inode.mtime_ns >= 1'000'000'000) return Invalid("a time with more than 999,999,999 ns");
  if (inode.opaque && !inode.IsDirectory()) return Invalid("an opaque file that is no directory");
  RETURN_IF_ERROR(CheckType(inode));
  return CheckXattrs(inode.xattrs);
}

uint64_t XattrBytes(const Inode& inode) {
  uint64_t bytes = 0;
  for (const Xattr& xattr : inode.xattrs) bytes += xattr.name.size() + xattr.value.size();
  return bytes;
}

Tree::Tree(const TreeLimits& limits) : limits_(limits) {
  Inode& root = inodes_.emplace_back();
  root.mode = S_IFDIR | 0755;
  root.nlink = 1;
  root.children = std::make_unique<std::map<std::string, InodeIndex, std::less<>>>();
  depths_.push_back(0);
}

Status Tree::Charge(uint64_t entries, uint64_t bytes) {
  if (entries > limits_.entries_max - entry_count_) {
    return Error(Code::kResourceExhausted,
                 "more than " + std::to_string(limits_.entries_max) + " entries");
  }
  if (bytes > limits_.metadata_bytes_max - metadata_bytes_) {
    return Error(Code::kResourceExhausted, "more than " +
                                               std::to_string(limits_.metadata_bytes_max) +
                                               " bytes of names, targets and attributes");
  }
  entry_count_ += entries;
  metadata_bytes_ += bytes;
  return Ok();
}

Result<InodeIndex> Tree::AddInode(Inode inode) {
  std::sort(inode.xattrs.begin(), inode.xattrs.end(),
            [](const Xattr& a, const Xattr& b) { return a.name < b.name; });
  RETURN_IF_ERROR(CheckInode(inode));
  if (XattrBytes(inode) > limits_.xattr_bytes_max_per_inode) {
    return Error(Code::kResourceExhausted, "more than " +
                                               std::to_string(limits_.xattr_bytes_max_per_inode) +
                                               " bytes of attributes on one file");
  }
  // Inodes without a name are held in memory too, so they count: replaced files come and go, hence
  // twice the number of names.
  if (inodes_.size() / 2 > limits_.entries_max) {
    return Error(Code::kResourceExhausted,
                 "more than " + std::to_string(2 * limits_.entries_max) + " files");
  }
  RETURN_IF_ERROR(Charge(0, MetadataBytes(inode)));
  inode.nlink = 0;
  inode.children.reset();
  if (inode.IsDirectory()) {
    inode.children = std::make_unique<std::map<std::string, InodeIndex, std::less<>>>();
  }
  inodes_.push_back(std::move(inode));
  depths_.push_back(0);
  return static_cast<InodeIndex>(inodes_.size() - 1);
}

Status Tree::Descend(InodeIndex parent, InodeIndex child) {
  std::vector<std::pair<InodeIndex, uint32_t>> found = {{child, depths_[parent] + 1}};
  for (size_t i = 0; i < found.size(); ++i) {  // Grows while it is walked.
    const auto [index, depth] = found[i];
    if (index == parent) return Invalid("a directory below itself");
    if (depth > limits_.depth_max) {
      return Error(Code::kResourceExhausted,
                   "deeper than " + std::to_string(limits_.depth_max) + " directories");
    }
    for (const auto& [name, below] : *inodes_[index].children) {
      if (inodes_[below].IsDirectory()) found.emplace_back(below, depth + 1);
    }
  }
  for (const auto& [index, depth] : found) depths_[index] = depth;
  return Ok();
}

Status Tree::Link(InodeIndex parent, std::string_view name, InodeIndex child) {
  CHECK(parent < inodes_.size() && child < inodes_.size());
  RETURN_IF_ERROR(CheckName(name));
  Inode& directory = inodes_[parent];
  Inode& inode = inodes_[child];
  if (!directory.IsDirectory()) return Invalid("'" + std::string(name) + "' below a file");
  const auto place = directory.children->lower_bound(name);
  if (place != directory.children->end() && place->first == name) {
    return Error(Code::kAlreadyExists, "'" + std::string(name) + "' is there already");
  }
  if (inode.IsDirectory()) {
    if (inode.nlink > 0)
      return Invalid("'" + std::string(name) + "': a second name of a directory");
    RETURN_IF_ERROR(Descend(parent, child), name);
  }
  RETURN_IF_ERROR(Charge(1, name.size()));
  directory.children->emplace_hint(place, name, child);
  ++inode.nlink;
  return Ok();
}

// Iterative: a tree may be as deep as its limits say.
void Tree::Release(InodeIndex child) {
  std::vector<InodeIndex> lost = {child};
  while (!lost.empty()) {
    Inode& inode = inodes_[lost.back()];
    lost.pop_back();
    --inode.nlink;
    --entry_count_;
    if (!inode.IsDirectory()) continue;
    for (const auto& [name, below] : *inode.children) {
      metadata_bytes_ -= name.size();
      lost.push_back(below);
    }
    inode.children->clear();
  }
}

Status Tree::Unlink(InodeIndex parent, std::string_view name) {
  CHECK(parent < inodes_.size());
  Inode& directory = inodes_[parent];
  if (!directory.IsDirectory()) return Error(Code::kNotFound, std::string(name) + ": below a file");
  const auto entry = directory.children->find(name);
  if (entry == directory.children->end()) {
    return Error(Code::kNotFound, "'" + std::string(name) + "' is not there");
  }
  Release(entry->second);
  metadata_bytes_ -= name.size();
  directory.children->erase(entry);
  return Ok();
}

Inode CopyWithoutEntries(const Inode& from) {
  Inode inode;
  inode.mode = from.mode;
  inode.uid = from.uid;
  inode.gid = from.gid;
  inode.rdev = from.rdev;
  inode.mtime_s = from.mtime_s;
  inode.mtime_ns = from.mtime_ns;
  inode.size = from.size;
  inode.object = from.object;
  inode.data = from.data;
  inode.xattrs = from.xattrs;
  return inode;
}

Status Tree::CopyAttributes(InodeIndex directory, const Inode& from) {
  Inode& to = inodes_[directory];
  CHECK(to.IsDirectory() && from.IsDirectory());
  if (XattrBytes(from) > limits_.xattr_bytes_max_per_inode) {
    return Error(Code::kResourceExhausted, "too many bytes of attributes on one directory");
  }
  // What mutable_inode() added was never charged, so do not give back more than there is.
  metadata_bytes_ -= std::min(metadata_bytes_, XattrBytes(to));
  RETURN_IF_ERROR(Charge(0, XattrBytes(from)));
  to.mode = from.mode;
  to.uid = from.uid;
  to.gid = from.gid;
  to.mtime_s = from.mtime_s;
  to.mtime_ns = from.mtime_ns;
  to.xattrs = from.xattrs;
  return Ok();
}

std::optional<InodeIndex> Tree::Lookup(InodeIndex parent, std::string_view name) const {
  const Inode& directory = inodes_[parent];
  if (!directory.IsDirectory()) return std::nullopt;
  const auto entry = directory.children->find(name);
  if (entry == directory.children->end()) return std::nullopt;
  return entry->second;
}

std::optional<InodeIndex> Tree::Find(std::string_view path) const {
  InodeIndex index = kRoot;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::optional<InodeIndex> next = Lookup(index, path.substr(0, slash));
    if (!next) return std::nullopt;
    index = *next;
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return index;
}

Status Tree::Walk(const Visitor& visit) const {
  struct Level {
    std::map<std::string, InodeIndex, std::less<>>::const_iterator next, end;
    size_t path_size;
  };
  std::string path;
  RETURN_IF_ERROR(visit(path, kRoot));
  std::vector<Level> stack;
  stack.push_back({inodes_[kRoot].children->begin(), inodes_[kRoot].children->end(), 0});
  while (!stack.empty()) {
    Level& level = stack.back();
    path.resize(level.path_size);
    if (level.next == level.end) {
      stack.pop_back();
      continue;
    }
    const auto& [name, index] = *level.next++;
    if (!path.empty()) path += '/';
    path += name;
    RETURN_IF_ERROR(visit(path, index));
    const Inode& inode = inodes_[index];
    if (inode.IsDirectory()) {
      stack.push_back({inode.children->begin(), inode.children->end(), path.size()});
    }
  }
  return Ok();
}

Result<Tree> Tree::Compacted() {
  Tree fresh(limits_);
  RETURN_IF_ERROR(fresh.CopyAttributes(kRoot, inodes_[kRoot]));
  std::vector<InodeIndex> moved(inodes_.size(), kRoot);  // kRoot: not yet.
  std::vector<InodeIndex> directories = {kRoot};
  while (!directories.empty()) {
    const InodeIndex directory = directories.back();
    directories.pop_back();
    for (const auto& [name, index] : *inodes_[directory].children) {
      if (moved[index] == kRoot) {
        const bool is_directory = inodes_[index].IsDirectory();
        auto children = std::move(inodes_[index].children);
        ASSIGN_OR_RETURN(moved[index], fresh.AddInode(std::move(inodes_[index])));
        inodes_[index].children = std::move(children);
        if (is_directory) directories.push_back(index);
      }
      RETURN_IF_ERROR(fresh.Link(moved[directory], name, moved[index]));
    }
  }
  return fresh;
}

}  // namespace strata::imaged
