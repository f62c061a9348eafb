// Names: resolution, making, removing, renaming.
#include "tests/property/model.h"

#include <errno.h>
#include <sys/sysmacros.h>

namespace strata::property {
namespace {

constexpr mode_t kUmask = 022;
constexpr int kLinksMax = 40;

std::deque<std::string> Components(const std::string& path) {
  std::deque<std::string> components;
  size_t at = 0;
  while (at < path.size()) {
    const size_t slash = std::min(path.find('/', at), path.size());
    if (slash > at) components.push_back(path.substr(at, slash - at));
    at = slash + 1;
  }
  return components;
}

Expected Fails(int error) {
  Expected expected;
  expected.error = error;
  return expected;
}

}  // namespace

Model::Model(Quirks quirks) : quirks_(quirks) {
  Inode root;
  root.mode = S_IFDIR | 0755;
  root.mtime_kind = MtimeKind::kUnknown;
  inodes_.emplace(kRootId, std::move(root));
}

Model::Place Model::Resolve(const std::string& path, bool follow) const {
  std::deque<std::string> left = Components(path);
  Place place;
  place.id = kRootId;
  Id dir = kRootId;
  int links = 0;
  while (!left.empty()) {
    const std::string name = std::move(left.front());
    left.pop_front();
    const Inode& here = inodes_.at(dir);
    if (!here.IsDirectory()) return {ENOTDIR, dir, name, std::nullopt};
    if (name.size() > 255) return {ENAMETOOLONG, dir, name, std::nullopt};
    const auto found = here.entries.find(name);
    if (found == here.entries.end()) {
      if (!left.empty()) return {ENOENT, dir, name, std::nullopt};
      return {0, dir, name, std::nullopt};
    }
    const Inode& next = inodes_.at(found->second);
    if (next.IsSymlink() && (follow || !left.empty())) {
      if (++links > kLinksMax) return {ELOOP, dir, name, std::nullopt};
      const std::deque<std::string> target = Components(next.data);
      left.insert(left.begin(), target.begin(), target.end());
      continue;
    }
    place = {0, dir, name, found->second};
    dir = found->second;
  }
  return place;
}

std::optional<Id> Model::Find(const std::string& path, bool follow) const {
  const Place place = Resolve(path, follow);
  return place.error == 0 ? place.id : std::nullopt;
}

void Model::Name(const Place& place, Id id) {
  Inode& dir = At(place.dir);
  dir.entries[place.name] = id;
  Inode& inode = At(id);
  if (inode.IsDirectory()) inode.parent = place.dir;
}

Id Model::Insert(const Place& place, Inode inode) {
  const Id id = next_++;
  inodes_.emplace(id, std::move(inode));
  Name(place, id);
  return id;
}

void Model::DropIfUnused(Id id) {
  const Inode& inode = At(id);
  if (inode.links == 0 && inode.handles == 0) inodes_.erase(id);
}

void Model::Unname(const Place& place) {
  At(place.dir).entries.erase(place.name);
  Inode& inode = At(*place.id);
  inode.links = inode.IsDirectory() ? 0 : inode.links - 1;
  DropIfUnused(*place.id);
}

Id Model::AddImage(const std::string& path, Inode inode) {
  if (inode.IsRegular()) inode.image_data = std::make_shared<const std::string>(inode.data);
  inode.from_image = true;
  return Insert(Resolve(path, false), std::move(inode));
}

void Model::LinkImage(const std::string& path, const std::string& existing) {
  const Id id = *Find(existing);
  ++At(id).links;
  Name(Resolve(path, false), id);
}

bool Model::IsBelow(Id id, Id ancestor) const {
  while (true) {
    if (id == ancestor) return true;
    if (id == kRootId) return false;
    id = inodes_.at(id).parent;
  }
}

// Owner, mode and ACLs of what is made in `dir` with `mode`.
Inode Model::NewInode(Id dir, mode_t mode, mode_t umask) const {
  const Inode& parent = inodes_.at(dir);
  Inode inode;
  inode.mode = mode;
  if ((parent.mode & S_ISGID) != 0) {
    inode.gid = parent.gid;
    if (S_ISDIR(mode)) inode.mode |= S_ISGID;
  }
  if (S_ISLNK(mode)) return inode;
  if (!parent.default_acl) {
    inode.mode &= ~umask;
    return inode;
  }
  inode.access_acl = Inherit(*parent.default_acl, &inode.mode);
  if (S_ISDIR(mode)) inode.default_acl = parent.default_acl;
  return inode;
}

Expected Model::Apply(const Operation& op) {
  switch (op.kind) {
    case Kind::kCreate:
      return Create(op);
    case Kind::kOpen:
      return Open(op);
    case Kind::kReopen:
      return Reopen(op);
    case Kind::kTmpfile:
      return Tmpfile(op);
    case Kind::kLinkFd:
      return LinkFd(op);
    case Kind::kReadFile:
      return ReadFile(op);
    case Kind::kTruncate:
      return Truncate(op);
    case Kind::kClose:
    case Kind::kWrite:
    case Kind::kMapWrite:
    case Kind::kRead:
    case Kind::kFtruncate:
    case Kind::kAllocate:
    case Kind::kSeek:
    case Kind::kCopyRange:
    case Kind::kSync:
    case Kind::kFstat:
    case Kind::kFchmod:
    case Kind::kFutimens:
      return OnHandle(op);
    case Kind::kStat:
    case Kind::kChmod:
    case Kind::kChown:
    case Kind::kUtimes:
    case Kind::kSetXattr:
    case Kind::kRemoveXattr:
    case Kind::kSetAcl:
    case Kind::kRemoveAcl:
      return ChangeAttributes(op);
    case Kind::kMkdir:
    case Kind::kSymlink:
    case Kind::kMknod:
      return Make(op);
    case Kind::kRmdir:
      return Rmdir(op);
    case Kind::kUnlink:
      return Unlink(op);
    case Kind::kRename:
    case Kind::kRenameNoReplace:
    case Kind::kExchange:
      return Rename(op);
    case Kind::kLink:
      return Link(op);
    case Kind::kReadlink:
      return Readlink(op);
    case Kind::kList:
      return List(op);
    case Kind::kRemount:
      for (int slot = 0; slot < kSlots; ++slot) Detach(slot);
      return {};
  }
  return {};
}

Expected Model::Make(const Operation& op) {
  const Place place = Resolve(op.path, /*follow=*/false);
  if (place.error != 0) return Fails(place.error);
  if (place.id) return Fails(EEXIST);
  if (op.kind == Kind::kMkdir) {
    Insert(place, NewInode(place.dir, S_IFDIR | static_cast<mode_t>(op.at & 01777), kUmask));
  } else if (op.kind == Kind::kSymlink) {
    Inode link = NewInode(place.dir, S_IFLNK | 0777, 0);
    link.data = op.other;
    Insert(place, std::move(link));
  } else {
    constexpr mode_t kTypes[] = {S_IFIFO, S_IFSOCK, S_IFCHR};
    Inode node = NewInode(place.dir, kTypes[op.at % 3] | 0666, kUmask);
    if (op.at % 3 == 2) node.rdev = makedev(1, 3);
    Insert(place, std::move(node));
  }
  Touch(place.dir);
  return {};
}

Expected Model::Rmdir(const Operation& op) {
  const Place place = Resolve(op.path, /*follow=*/false);
  if (place.error != 0) return Fails(place.error);
  if (!place.id) return Fails(ENOENT);
  if (place.name.empty()) return {.skip = true};
  if (!At(*place.id).IsDirectory()) return Fails(ENOTDIR);
  if (!At(*place.id).entries.empty()) return Fails(ENOTEMPTY);
  At(*place.id).mtime_kind = MtimeKind::kUnknown;
  Unname(place);
  Touch(place.dir);
  return {};
}

Expected Model::Unlink(const Operation& op) {
  const Place place = Resolve(op.path, /*follow=*/false);
  if (place.error != 0) return Fails(place.error);
  if (!place.id) return Fails(ENOENT);
  if (place.name.empty()) return {.skip = true};
  if (At(*place.id).IsDirectory()) return Fails(EISDIR);
  Unname(place);
  Touch(place.dir);
  return {};
}

Expected Model::Rename(const Operation& op) {
  const Place from = Resolve(op.path, /*follow=*/false);
  // The parents of both are walked to before either name is looked up.
  const Place to = Resolve(op.other, /*follow=*/false);
  if (from.error != 0) return Fails(from.error);
  if (to.error != 0) return Fails(to.error);
  if (from.name.empty() || to.name.empty()) return {.skip = true};
  const bool exchange = op.kind == Kind::kExchange;
  if (!from.id) return Fails(ENOENT);
  if (op.kind == Kind::kRenameNoReplace && to.id) return Fails(EEXIST);
  if (exchange && !to.id) return Fails(ENOENT);
  const bool directory = At(*from.id).IsDirectory();
  if (directory && IsBelow(to.dir, *from.id)) return Fails(EINVAL);
  if (to.id && At(*to.id).IsDirectory() && IsBelow(from.dir, *to.id)) {
    return Fails(exchange ? EINVAL : ENOTEMPTY);
  }
  if (to.id == from.id) return {};
  if (to.id && !exchange) {
    const Inode& target = At(*to.id);
    if (directory && !target.IsDirectory()) return Fails(ENOTDIR);
    if (!directory && target.IsDirectory()) return Fails(EISDIR);
    if (!target.entries.empty()) return Fails(ENOTEMPTY);
    if (directory) At(*to.id).mtime_kind = MtimeKind::kUnknown;
  }
  const Id moved = *from.id;
  if (exchange) {
    Name(from, *to.id);
  } else {
    if (to.id) Unname(to);
    At(from.dir).entries.erase(from.name);
  }
  Name(to, moved);
  Touch(from.dir);
  Touch(to.dir);
  return {};
}

Expected Model::Link(const Operation& op) {
  const Place from = Resolve(op.path, /*follow=*/false);
  if (from.error != 0) return Fails(from.error);
  if (!from.id) return Fails(ENOENT);
  const Place to = Resolve(op.other, /*follow=*/false);
  if (to.error != 0) return Fails(to.error);
  if (to.id) return Fails(EEXIST);
  if (At(*from.id).IsDirectory()) return Fails(EPERM);
  Name(to, *from.id);
  ++At(*from.id).links;
  Touch(to.dir);
  return {};
}

Expected Model::Readlink(const Operation& op) {
  const Place place = Resolve(op.path, /*follow=*/false);
  if (place.error != 0) return Fails(place.error);
  if (!place.id) return Fails(ENOENT);
  if (!At(*place.id).IsSymlink()) return Fails(EINVAL);
  Expected expected;
  expected.bytes = At(*place.id).data;
  return expected;
}

// The names of a directory, each followed by a newline, ordered.
Expected Model::List(const Operation& op) {
  const Place place = Resolve(op.path, /*follow=*/true);
  if (place.error != 0) return Fails(place.error);
  if (!place.id) return Fails(ENOENT);
  if (!At(*place.id).IsDirectory()) return Fails(ENOTDIR);
  Expected expected;
  expected.bytes.emplace();
  for (const auto& [name, id] : At(*place.id).entries) *expected.bytes += name + "\n";
  return expected;
}

}  // namespace strata::property
