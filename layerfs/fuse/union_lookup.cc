// Names to inodes, and attributes.
#include <fcntl.h>
#include <sys/xattr.h>

#include "common/file_io.h"
#include "common/log.h"
#include "common/xattr.h"
#include "layerfs/fuse/overlay_format.h"
#include "layerfs/fuse/union_fs.h"

namespace strata::layerfs {

Result<std::unique_ptr<UnionFs>> UnionFs::Open(const RootSpec& spec) {
  auto fs = std::unique_ptr<UnionFs>(new UnionFs());
  ASSIGN_OR_RETURN(fs->lower_, LowerTree::Open(spec.tree_path, spec.objects_dir, spec.id_shift,
                                               spec.object_mount));
  ASSIGN_OR_RETURN(fs->upper_, UpperStore::Open(spec.upper_dir, spec.work_dir));
  RETURN_IF_ERROR(fs->LoadRoot());
  RETURN_IF_ERROR(fs->ConvertIndex(spec.work_dir + "/index"));
  return fs;
}

Status UnionFs::LoadRoot() {
  struct stat st;
  if (::fstat(upper_->root_fd(), &st) != 0) return Errno("stat the upper directory");
  ASSIGN_OR_RETURN(const Marks marks, ReadMarks(upper_->root_fd(), S_IFDIR));
  std::optional<Nid> nid;
  if (!marks.opaque) nid = lower_->root();
  root_ = std::make_shared<Inode>(lower_->root(), S_IFDIR, nid);
  root_->lower_path.assign(1, '/');
  ASSIGN_OR_RETURN(root_->upper, upper_->MakeRef(upper_->root_fd(), st.st_ino));
  root_->has_default_acl = marks.has_default_acl;
  root_->impure = marks.impure;
  root_->bare = marks.bare;
  root_ = inodes_.Enter(root_, nid.has_value());
  return ProbeBareness();
}

// A security module may give every new file an attribute of its own. On a full volume nobody knows,
// and every file is asked.
Status UnionFs::ProbeBareness() {
  const std::string name = upper_->NewWorkName();
  const Result<UniqueFd> fd = OpenAt(upper_->work_fd(), name, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (!fd.ok()) {
    const int number = fd.error().sys_errno();
    return number == ENOSPC || number == EDQUOT ? Ok() : Status(fd.error());
  }
  const Result<Marks> marks = ReadMarks(fd->get(), S_IFREG);
  upper_->RemoveFromWork(name);
  if (!marks.ok()) return marks.error();
  can_be_bare_ = marks->bare;
  return Ok();
}

namespace {

// `list`: names as listxattr(2) gives them.
bool OnlyOverlayNames(std::string_view list) {
  for (size_t at = 0; at < list.size(); at = list.find('\0', at) + 1) {
    const std::string_view name(list.data() + at);
    if (imaged::UnescapeXattrName(name)) return false;
  }
  return true;
}

}  // namespace

Result<UnionFs::Marks> UnionFs::ReadMarks(int fd, uint32_t type) {
  Marks marks;
  char names[4096];
  const ProcPath path(fd);
  const ssize_t size = ::listxattr(path.c_str(), names, sizeof(names));
  if (size < 0 && errno == EOPNOTSUPP) {
    marks.bare = true;
    return marks;
  }
  if (size < 0 && errno != ERANGE) return Errno("listxattr");
  const std::string_view list(names, size < 0 ? 0 : static_cast<size_t>(size));
  marks.bare = size >= 0 && OnlyOverlayNames(list);
  // With more names than fit, each of ours is simply tried.
  const auto present = [&](const char* name) {
    return size < 0 || list.find(std::string_view(name, std::string_view(name).size() + 1)) !=
                           std::string_view::npos;
  };
  const auto get = [&](const char* name) -> Result<std::optional<std::string>> {
    if (!present(name)) return std::optional<std::string>();
    auto value = strata::GetXattr(fd, name);
    if (value.ok()) return std::optional<std::string>(std::move(*value));
    if (value.error().code() == Code::kNotFound) return std::optional<std::string>();
    return value.error();
  };
  if (!list.empty() || size < 0) {
    ASSIGN_OR_RETURN(marks.redirect, get(kRedirectXattr));
    if (type == S_IFDIR) {
      ASSIGN_OR_RETURN(const auto opaque, get(kOpaqueXattr));
      marks.opaque = opaque.has_value() && opaque->starts_with('y');
      marks.impure = present(kImpureXattr) && size >= 0;
      ASSIGN_OR_RETURN(const auto acl, get("system.posix_acl_default"));
      marks.has_default_acl = acl.has_value();
    } else {
      ASSIGN_OR_RETURN(const auto metacopy, get(kMetacopyXattr));
      marks.metacopy = metacopy.has_value() && type == S_IFREG;
      ASSIGN_OR_RETURN(marks.origin, get(kOriginXattr));
    }
  }
  return marks;
}

UpperRef UnionFs::RefOf(const InodePtr& inode) {
  const std::lock_guard lock(inode->mutex);
  return inode->upper;
}

Result<SharedFd> UnionFs::UpperFd(const InodePtr& inode) const {
  UpperRef ref;
  {
    const std::lock_guard lock(inode->mutex);
    const OpenState* const open = inode->open.get();
    if (inode->HasUpperData() && open != nullptr && open->fd != nullptr) return open->fd;
    ref = inode->upper;
  }
  return inode->IsDirectory() ? upper_->Directory(ref) : upper_->OpenPath(ref);
}

Result<SharedFd> UnionFs::UpperDirectory(const InodePtr& dir) {
  return upper_->Directory(RefOf(dir));
}

void UnionFs::FillAttributes(const Inode& inode, bool metacopy, struct stat* st) const {
  st->st_ino = inode.st_ino;
  if (inode.IsDirectory() && inode.lower) st->st_nlink = 1;  // As overlayfs: nobody counts them.
  if (metacopy) st->st_blocks = (st->st_size + 511) / 512;
}

Result<bool> UnionFs::LowerHas(const InodePtr& dir, const std::string& name) const {
  if (!dir->lower) return false;
  ASSIGN_OR_RETURN(const auto entry, lower_->Lookup(*dir->lower, name));
  return entry.has_value();
}

Result<Entry> UnionFs::Lookup(const InodePtr& dir, const std::string& name) {
  if (name.size() > 255) return Errno("lookup", ENAMETOOLONG);
  while (true) {
    const uint64_t before = dir->changes.load(std::memory_order_acquire);
    if (const UpperRef ref = RefOf(dir)) {
      ASSIGN_OR_RETURN(const SharedFd dir_fd, upper_->Directory(ref));
      struct stat st;
      if (::fstatat(dir_fd->get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
        return LookUpper(dir, name, dir_fd->get(), st);
      }
      if (errno != ENOENT) return Errno("lookup " + name);
    }
    ASSIGN_OR_RETURN(Entry entry, LookLower(dir, name));
    if (dir->changes.load(std::memory_order_acquire) == before) return entry;
  }
}

Result<Entry> UnionFs::LookUpper(const InodePtr& dir, const std::string& name, int dir_fd,
                                 const struct stat& st) {
  Entry entry;
  if (IsWhiteout(st)) return entry;
  entry.attributes = st;
  const uint32_t type = st.st_mode & S_IFMT;
  entry.inode = inodes_.FindUpper(st.st_ino);
  if (entry.inode == nullptr) {
    ASSIGN_OR_RETURN(const UniqueFd fd, OpenAt(dir_fd, name, O_PATH | O_NOFOLLOW));
    ASSIGN_OR_RETURN(Marks marks, ReadMarks(fd.get(), type));
    if (marks.metacopy && st.st_size == 0) {
      // No metadata-only copy is made of an empty file: a truncation that a crash cut short.
      RETURN_IF_ERROR(strata::RemoveXattr(fd.get(), kMetacopyXattr));
      marks.metacopy = false;
    }
    std::optional<Nid> nid;
    std::string lower_path;
    if (type == S_IFDIR) {
      ASSIGN_OR_RETURN(nid, LowerOfDirectory(dir, name, marks, &lower_path));
    } else {
      ASSIGN_OR_RETURN(nid, LowerOfFile(dir, name, marks, type));
    }
    const bool own_number = !nid || inodes_.FindLower(*nid) != nullptr;
    auto inode = std::make_shared<Inode>(own_number ? lower_->first_free_ino() + st.st_ino : *nid,
                                         type, nid);
    ASSIGN_OR_RETURN(inode->upper, upper_->MakeRef(fd.get(), st.st_ino));
    inode->lower_path = std::move(lower_path);
    inode->metacopy = marks.metacopy;
    inode->impure = marks.impure;
    inode->has_default_acl = marks.has_default_acl;
    inode->bare = marks.bare;
    inode->parent = dir;
    inode->name = name;
    entry.inode = inodes_.Enter(inode, !own_number);
  }
  bool metacopy, placed;
  {
    const std::lock_guard lock(entry.inode->mutex);
    metacopy = entry.inode->metacopy;
    placed = static_cast<bool>(entry.inode->upper);
  }
  // While a link is copied up, the upper inode has not all of its names yet. `st` may be of then.
  const bool was_linked = !entry.inode->IsDirectory() && entry.inode->lower && st.st_nlink > 1;
  if (!placed || was_linked) {
    ASSIGN_OR_RETURN(entry.attributes, GetAttributes(entry.inode));
    return entry;
  }
  FillAttributes(*entry.inode, metacopy, &entry.attributes);
  return entry;
}

// `*path`: the lower directory's path.
Result<std::optional<Nid>> UnionFs::LowerOfDirectory(const InodePtr& dir, const std::string& name,
                                                     const Marks& marks, std::string* path) const {
  std::optional<Nid> nid;
  if (marks.opaque) return nid;
  if (marks.redirect && marks.redirect->starts_with('/')) {
    *path = *marks.redirect;
    ASSIGN_OR_RETURN(nid, lower_->Resolve(*path));
  } else if (dir->lower) {
    const std::string& lower_name = marks.redirect ? *marks.redirect : name;
    *path = dir->LowerPathOf(lower_name);
    ASSIGN_OR_RETURN(const auto entry, lower_->Lookup(*dir->lower, lower_name));
    if (entry) nid = entry->nid;
  }
  if (!nid) return nid;
  ASSIGN_OR_RETURN(const imaged::ErofsInode inode, lower_->reader().GetInode(*nid));
  if (!S_ISDIR(inode.mode)) nid.reset();
  return nid;
}

Result<std::optional<Nid>> UnionFs::LowerOfFile(const InodePtr& dir, const std::string& name,
                                                const Marks& marks, uint32_t type) const {
  std::optional<Nid> nid;
  if (marks.metacopy) {
    if (marks.redirect && marks.redirect->starts_with('/')) {
      ASSIGN_OR_RETURN(nid, lower_->Resolve(*marks.redirect));
    } else if (dir->lower) {
      ASSIGN_OR_RETURN(const auto entry,
                       lower_->Lookup(*dir->lower, marks.redirect ? *marks.redirect : name));
      if (entry) nid = entry->nid;
    }
  }
  if (!nid && marks.origin) nid = lower_->NidOfOrigin(*marks.origin);
  if (nid) {
    ASSIGN_OR_RETURN(const imaged::ErofsInode inode, lower_->reader().GetInode(*nid));
    if ((inode.mode & S_IFMT) != type) nid.reset();
  }
  if (!nid && marks.metacopy) {
    return Error(Code::kCorrupt, name + ": the tree does not hold the data of this file", EIO);
  }
  return nid;
}

Result<Entry> UnionFs::LookLower(const InodePtr& dir, const std::string& name) {
  Entry entry;
  if (!dir->lower) return entry;
  ASSIGN_OR_RETURN(const auto found, lower_->Lookup(*dir->lower, name));
  if (!found) return entry;
  ASSIGN_OR_RETURN(entry.attributes, lower_->Stat(found->nid));
  entry.inode = inodes_.FindLower(found->nid);
  // A known inode that has left the tree, while this name of it has not: a copy-up of hard links
  // that a crash cut short. The name is a file of its own from now on.
  const bool broken_link =
      entry.inode != nullptr && !entry.inode->IsDirectory() && RefOf(entry.inode);
  if (entry.inode == nullptr || broken_link) {
    const uint64_t number =
        broken_link ? found->nid | uint64_t{1} << 62 : static_cast<uint64_t>(found->nid);
    auto inode = std::make_shared<Inode>(number, entry.attributes.st_mode & S_IFMT, found->nid);
    if (inode->IsDirectory()) {
      inode->lower_path = dir->LowerPathOf(name);
    }
    inode->parent = dir;
    inode->name = name;
    entry.inode = broken_link ? inode : inodes_.Enter(inode, /*by_lower=*/true);
  }
  entry.attributes.st_ino = entry.inode->st_ino;
  return entry;
}

// The inode of what was just created as (dir, name) behind `fd`.
Result<Entry> UnionFs::AdoptNew(const InodePtr& dir, const std::string& name, int fd,
                                const struct stat& st) {
  Entry entry;
  entry.attributes = st;
  auto inode = std::make_shared<Inode>(lower_->first_free_ino() + st.st_ino, st.st_mode & S_IFMT,
                                       std::nullopt);
  ASSIGN_OR_RETURN(inode->upper, upper_->MakeRef(fd, st.st_ino));
  inode->parent = dir;
  inode->name = name;
  {
    // What it has, it has inherited.
    const std::lock_guard lock(dir->mutex);
    inode->has_default_acl = inode->IsDirectory() && dir->has_default_acl;
    inode->bare = !dir->has_default_acl && can_be_bare_;
  }
  inodes_.DropUpper(st.st_ino);  // A number that is used again belongs to nobody else.
  entry.inode = inodes_.Enter(inode, /*by_lower=*/false);
  FillAttributes(*entry.inode, false, &entry.attributes);
  return entry;
}

Result<struct stat> UnionFs::UpperAttributes(Inode& inode, int fd) const {
  struct stat st;
  if (::fstatat(fd, "", &st, AT_EMPTY_PATH) != 0) return Errno("stat");
  const std::lock_guard lock(inode.mutex);
  FillAttributes(inode, inode.metacopy, &st);
  if (inode.unlinked) st.st_nlink = 0;
  return st;
}

Result<struct stat> UnionFs::GetAttributes(const InodePtr& inode) {
  {
    const std::lock_guard lock(inode->mutex);
    if (!inode->upper) {
      ASSIGN_OR_RETURN(struct stat st, lower_->Stat(*inode->lower));
      st.st_ino = inode->st_ino;
      if (inode->unlinked) st.st_nlink = 0;
      return st;
    }
  }
  ASSIGN_OR_RETURN(const SharedFd fd, UpperFd(inode));
  return UpperAttributes(*inode, fd->get());
}

Result<std::string> UnionFs::ReadLink(const InodePtr& inode) {
  const UpperRef ref = RefOf(inode);
  if (!ref) return lower_->ReadLink(*inode->lower);
  ASSIGN_OR_RETURN(const SharedFd fd, upper_->OpenPath(ref));
  char target[4096];
  const ssize_t size = ::readlinkat(fd->get(), "", target, sizeof(target));
  if (size < 0) return Errno("readlink");
  return std::string(target, static_cast<size_t>(size));
}

Result<struct statvfs> UnionFs::StatFileSystem() {
  struct statvfs st;
  if (::fstatvfs(upper_->root_fd(), &st) != 0) return Errno("statvfs");
  return st;
}

Result<LowerTree::Content> UnionFs::OpenContentLocked(const Inode& inode, int flags) const {
  if (!inode.HasUpperData()) return lower_->OpenContent(*inode.lower, flags);
  LowerTree::Content content;
  if ((flags & O_PATH) != 0 && inode.upper.pinned) {
    ASSIGN_OR_RETURN(content.fd, strata::Open(ProcPath(inode.upper.pinned->get()).c_str(), flags));
  } else {
    ASSIGN_OR_RETURN(content.fd, upper_->OpenFile(inode.upper, flags));
  }
  return content;
}

}  // namespace strata::layerfs
