#include "layerfs/fuse/lower.h"

#include <fcntl.h>
#include <linux/capability.h>

#include <bit>
#include <cstring>

#include "common/file_io.h"
#include "layerfs/object_mount.h"

namespace strata::layerfs {
namespace {

constexpr uint32_t kOverflowId = 65534;
constexpr size_t kAclHeaderSize = 4;  // linux/posix_acl_xattr.h: version, then entries of
constexpr size_t kAclEntrySize = 8;   // tag (16 bits), permissions (16 bits), id (32 bits).
constexpr uint16_t kAclUser = 0x02;
constexpr uint16_t kAclGroup = 0x08;

}  // namespace

Result<std::unique_ptr<LowerTree>> LowerTree::Open(const std::string& tree_path,
                                                   const std::string& objects_dir,
                                                   const std::optional<IdShift>& id_shift,
                                                   std::optional<ObjectMountSpec> object_mount) {
  auto tree = std::unique_ptr<LowerTree>(new LowerTree());
  ASSIGN_OR_RETURN(tree->reader_, imaged::ErofsReader::Open(tree_path));
  struct stat st;
  if (::stat(tree_path.c_str(), &st) != 0) return Errno("stat " + tree_path);
  // A nid counts 32-byte slots.
  tree->first_free_ino_ = std::bit_ceil(static_cast<uint64_t>(st.st_size) / 32 + 1);
  ASSIGN_OR_RETURN(tree->objects_, strata::Open(objects_dir, O_PATH | O_DIRECTORY));
  tree->objects_dir_ = objects_dir;
  tree->object_mount_ = std::move(object_mount);
  tree->id_shift_ = id_shift;
  return tree;
}

Result<std::optional<imaged::ErofsDirEntry>> LowerTree::Lookup(Nid directory,
                                                               std::string_view name) const {
  return reader_->Lookup(directory, name);
}

Result<std::optional<Nid>> LowerTree::Resolve(std::string_view path) const {
  Nid nid = root();
  while (!path.empty()) {
    const size_t start = path.find_first_not_of('/');
    if (start == std::string_view::npos) break;
    path.remove_prefix(start);
    const std::string_view name = path.substr(0, path.find('/'));
    ASSIGN_OR_RETURN(const imaged::ErofsInode inode, reader_->GetInode(nid));
    if (!S_ISDIR(inode.mode)) return std::optional<Nid>();
    ASSIGN_OR_RETURN(const auto entry, reader_->Lookup(nid, name));
    if (!entry) return std::optional<Nid>();
    nid = entry->nid;
    path.remove_prefix(name.size());
  }
  return std::optional<Nid>(nid);
}

Status LowerTree::ReadDirectory(
    Nid directory, const std::function<bool(const imaged::ErofsDirEntry&)>& visit) const {
  return reader_->ReadDirectory(directory, 0, visit);
}

uint32_t LowerTree::Shift(uint32_t id) const {
  if (!id_shift_) return id;
  return id < id_shift_->count ? id_shift_->first_id + id : kOverflowId;
}

Result<struct stat> LowerTree::Stat(Nid nid) const {
  ASSIGN_OR_RETURN(const imaged::ErofsInode inode, reader_->GetInode(nid));
  struct stat st = {};
  st.st_ino = nid;
  st.st_mode = inode.mode;
  st.st_nlink = inode.nlink;
  st.st_uid = Shift(inode.uid);
  st.st_gid = Shift(inode.gid);
  st.st_rdev = inode.rdev;
  st.st_size = static_cast<off_t>(inode.size);
  st.st_blksize = 4096;
  st.st_blocks = static_cast<blkcnt_t>((inode.size + 511) / 512);
  st.st_mtim = {.tv_sec = inode.mtime_s, .tv_nsec = inode.mtime_ns};
  st.st_atim = st.st_ctim = st.st_mtim;
  return st;
}

Result<std::string> LowerTree::ReadLink(Nid nid) const {
  ASSIGN_OR_RETURN(const std::string_view target, reader_->ReadLink(nid));
  return std::string(target);
}

std::string LowerTree::ShiftAcl(std::string value) const {
  for (size_t at = kAclHeaderSize; at + kAclEntrySize <= value.size(); at += kAclEntrySize) {
    uint16_t tag;
    uint32_t id;
    std::memcpy(&tag, value.data() + at, sizeof(tag));
    std::memcpy(&id, value.data() + at + 4, sizeof(id));
    if (tag != kAclUser && tag != kAclGroup) continue;
    id = Shift(id);
    std::memcpy(value.data() + at + 4, &id, sizeof(id));
  }
  return value;
}

// A capability counts only in the user namespace whose root it names: the shifted root here.
std::string LowerTree::ShiftCapability(std::string value) const {
  constexpr size_t kV2Size = XATTR_CAPS_SZ_2;
  uint32_t magic;
  if (value.size() < kV2Size) return value;
  std::memcpy(&magic, value.data(), sizeof(magic));
  const uint32_t revision = magic & VFS_CAP_REVISION_MASK;
  uint32_t root_id = 0;
  if (revision == VFS_CAP_REVISION_3 && value.size() == XATTR_CAPS_SZ_3) {
    std::memcpy(&root_id, value.data() + kV2Size, sizeof(root_id));
  } else if (revision != VFS_CAP_REVISION_2) {
    return value;
  }
  root_id = Shift(root_id);
  magic = (magic & ~VFS_CAP_REVISION_MASK) | VFS_CAP_REVISION_3;
  value.resize(XATTR_CAPS_SZ_3);
  std::memcpy(value.data(), &magic, sizeof(magic));
  std::memcpy(value.data() + kV2Size, &root_id, sizeof(root_id));
  return value;
}

Result<std::vector<Xattr>> LowerTree::GetXattrs(Nid nid) const {
  ASSIGN_OR_RETURN(std::vector<Xattr> xattrs, reader_->GetXattrs(nid));
  if (!id_shift_) return xattrs;
  for (Xattr& xattr : xattrs) {
    if (xattr.name.starts_with("system.posix_acl_")) {
      xattr.value = ShiftAcl(std::move(xattr.value));
    } else if (xattr.name == "security.capability") {
      xattr.value = ShiftCapability(std::move(xattr.value));
    }
  }
  return xattrs;
}

Status LowerTree::CheckIds(Nid nid) const {
  if (!id_shift_) return Ok();
  ASSIGN_OR_RETURN(const imaged::ErofsInode inode, reader_->GetInode(nid));
  if (inode.uid < id_shift_->count && inode.gid < id_shift_->count) return Ok();
  return Error(Code::kUnsupported, "the owner is outside of the container's id range", EOVERFLOW);
}

Result<LowerTree::Content> LowerTree::OpenContent(Nid nid, int flags) const {
  ASSIGN_OR_RETURN(const Digest digest, reader_->GetObject(nid));
  Content content;
  if (digest.IsZero()) {
    ASSIGN_OR_RETURN(content.bytes, reader_->GetInlineData(nid));
    return content;
  }
  Result<UniqueFd> fd = OpenAt(objects_.get(), digest.ObjectPath(), flags);
  if (!fd.ok()) {
    if (fd.error().sys_errno() != ENOENT) return fd.error();
    return Error(Code::kCorrupt, "object " + digest.ToString() + " is missing", EIO);
  }
  struct stat st;
  if (::fstat(fd->get(), &st) != 0) return Errno("stat of object " + digest.ToString());
  ASSIGN_OR_RETURN(const imaged::ErofsInode inode, reader_->GetInode(nid));
  if (static_cast<uint64_t>(st.st_size) != inode.size) {
    return Error(Code::kCorrupt,
                 "object " + digest.ToString() + " has " + std::to_string(st.st_size) +
                     " bytes instead of " + std::to_string(inode.size),
                 EIO);
  }
  content.fd = std::move(*fd);
  return content;
}

Status LowerTree::ProvideContent(Nid nid) const {
  ASSIGN_OR_RETURN(const Digest digest, reader_->GetObject(nid));
  if (!object_mount_.has_value()) {
    return Error(Code::kCorrupt, "object " + digest.ToString() + " cannot be had from elsewhere",
                 EIO);
  }
  const Status provided = ProvideObject(*object_mount_, objects_dir_, digest);
  if (provided.ok()) return Ok();
  return Error(Code::kCorrupt, provided.error().message(), EIO);
}

std::optional<Nid> LowerTree::NidOfOrigin(std::string_view bytes) const {
  const std::optional<uint64_t> nid = DecodeOrigin(reader_->uuid(), bytes);
  if (!nid || !reader_->GetInode(*nid).ok()) return std::nullopt;
  return nid;
}

}  // namespace strata::layerfs
