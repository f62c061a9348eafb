// Open files and data.
#include <errno.h>
#include <fcntl.h>

#include <algorithm>

#include "tests/property/model.h"

namespace strata::property {
namespace {

constexpr mode_t kUmask = 022;

Expected Fails(int error) {
  Expected expected;
  expected.error = error;
  return expected;
}

Expected Skip() {
  Expected expected;
  expected.skip = true;
  return expected;
}

bool Writes(uint64_t flags) { return (flags & O_ACCMODE) != O_RDONLY; }

}  // namespace

void Model::Attach(int slot, Id id, int flags) {
  Inode& inode = At(id);
  ++inode.handles;
  Detach(slot);
  Handle handle;
  handle.inode = id;
  handle.reads = (flags & O_ACCMODE) != O_WRONLY;
  handle.writes = Writes(static_cast<uint64_t>(flags));
  handle.appends = (flags & O_APPEND) != 0;
  if (handle.writes) {
    if (inode.image_data && quirks_.opening_sets_mtime) inode.mtime_kind = MtimeKind::kUnknown;
    inode.image_data.reset();
  }
  handle.image_data = inode.image_data;
  handles_[Index(slot)] = std::move(handle);
}

void Model::Detach(int slot) {
  std::optional<Handle>& handle = handles_[Index(slot)];
  if (!handle) return;
  const Id id = handle->inode;
  handle.reset();
  --At(id).handles;
  DropIfUnused(id);
}

void Model::SetData(Id id, size_t at, std::string_view bytes) {
  Inode& inode = At(id);
  if (bytes.empty()) return;
  if (inode.data.size() < at + bytes.size()) inode.data.resize(at + bytes.size(), '\0');
  inode.data.replace(at, bytes.size(), bytes);
  Touch(id);
}

void Model::Resize(Id id, size_t size) {
  Inode& inode = At(id);
  inode.data.resize(size, '\0');
  inode.image_data.reset();
  Touch(id);
}

Expected Model::Create(const Operation& op) {
  const Place place = Resolve(op.path, /*follow=*/false);
  if (place.error != 0) return Fails(place.error);
  if (place.id) return Fails(EEXIST);
  const Id id =
      Insert(place, NewInode(place.dir, S_IFREG | static_cast<mode_t>(op.at & 0777), kUmask));
  Touch(place.dir);
  SetData(id, 0, Pattern(op.number, op.size));
  Expected expected;
  expected.count = op.size;
  return expected;
}

Expected Model::Open(const Operation& op) {
  const int flags = static_cast<int>(op.at);
  const bool creates = (flags & O_CREAT) != 0;
  Place place = Resolve(op.path, /*follow=*/true);
  if (place.error != 0) return Fails(place.error);
  if (!place.id) {
    if (!creates) return Fails(ENOENT);
    place.id = Insert(place, NewInode(place.dir, S_IFREG | 0644, kUmask));
    Touch(place.dir);
  } else if (At(*place.id).IsDirectory()) {
    if (creates || Writes(op.at)) return Fails(EISDIR);
  } else if (!At(*place.id).IsRegular()) {
    return Skip();
  }
  if ((flags & O_TRUNC) != 0) Resize(*place.id, 0);
  Attach(op.slot, *place.id, flags);
  return {};
}

Expected Model::Reopen(const Operation& op) {
  const std::optional<Handle>& handle = handles_[Index(op.slot)];
  if (!handle) return Skip();
  if (At(handle->inode).IsDirectory() && Writes(op.at)) return Fails(EISDIR);
  Attach(op.other_slot, handle->inode, static_cast<int>(op.at & O_ACCMODE));
  return {};
}

Expected Model::Tmpfile(const Operation& op) {
  const Place place = Resolve(op.path, /*follow=*/true);
  if (place.error != 0) return Fails(place.error);
  if (!place.id) return Fails(ENOENT);
  if (!At(*place.id).IsDirectory()) return Fails(ENOTDIR);
  Inode inode = NewInode(*place.id, S_IFREG | 0644, kUmask);
  inode.links = 0;
  inode.linkable = true;
  const Id id = next_++;
  inodes_.emplace(id, std::move(inode));
  Attach(op.slot, id, O_RDWR);
  return {};
}

Expected Model::LinkFd(const Operation& op) {
  const std::optional<Handle>& handle = handles_[Index(op.slot)];
  if (!handle) return Skip();
  const Place to = Resolve(op.path, /*follow=*/false);
  if (to.error != 0) return Fails(to.error);
  if (to.id) return Fails(EEXIST);
  Inode& inode = At(handle->inode);
  if (inode.IsDirectory()) return Fails(EPERM);
  if (inode.links == 0 && !inode.linkable) return Fails(ENOENT);
  inode.linkable = false;
  ++inode.links;
  Name(to, handle->inode);
  Touch(to.dir);
  return {};
}

Expected Model::ReadFile(const Operation& op) {
  const Place place = Resolve(op.path, /*follow=*/true);
  if (place.error != 0) return Fails(place.error);
  if (!place.id) return Fails(ENOENT);
  const Inode& inode = At(*place.id);
  if (inode.IsDirectory()) return Fails(EISDIR);
  if (!inode.IsRegular()) return Skip();
  Expected expected;
  expected.bytes = inode.data;
  return expected;
}

Expected Model::Truncate(const Operation& op) {
  const Place place = Resolve(op.path, /*follow=*/true);
  if (place.error != 0) return Fails(place.error);
  if (!place.id) return Fails(ENOENT);
  if (At(*place.id).IsDirectory()) return Fails(EISDIR);
  if (!At(*place.id).IsRegular()) return Fails(EINVAL);
  Resize(*place.id, op.size);
  return {};
}

Expected Model::OnHandle(const Operation& op) {
  if (!handles_[Index(op.slot)]) return Skip();
  const Handle handle = *handles_[Index(op.slot)];
  Inode& inode = At(handle.inode);
  switch (op.kind) {
    case Kind::kClose:
      Detach(op.slot);
      return {};
    case Kind::kWrite:
    case Kind::kMapWrite:
      return Write(op, handle);
    case Kind::kRead:
      return Read(op, handle);
    case Kind::kFtruncate:
      if (!handle.writes) return Fails(EINVAL);
      Resize(handle.inode, op.size);
      return {};
    case Kind::kAllocate:
      return Allocate(op, handle);
    case Kind::kCopyRange:
      return CopyRange(op, handle);
    case Kind::kSeek: {
      if (!inode.IsRegular() || handle.image_data != inode.image_data) return Skip();
      Expected expected;
      expected.inode = handle.inode;
      return expected;
    }
    case Kind::kFstat: {
      Expected expected;
      expected.inode = handle.inode;
      return expected;
    }
    case Kind::kFchmod:
      if ((op.at & 06000) != 0 && !inode.IsDirectory()) return Skip();
      Chmod(handle.inode, static_cast<mode_t>(op.at & 07777));
      return {};
    case Kind::kFutimens:
      inode.mtime_kind = MtimeKind::kExact;
      inode.mtime_seconds = static_cast<int64_t>(op.number);
      return {};
    default:
      return {};  // Sync.
  }
}

Expected Model::Write(const Operation& op, const Handle& handle) {
  Inode& inode = At(handle.inode);
  Expected expected;
  size_t size = op.size;
  if (op.kind == Kind::kMapWrite) {
    if (!handle.reads || !handle.writes || op.at >= inode.data.size()) return Skip();
    size = std::min<size_t>(size, inode.data.size() - op.at);
  } else if (!handle.writes) {
    return Fails(EBADF);
  }
  const bool appends = handle.appends && op.kind == Kind::kWrite;
  SetData(handle.inode, appends ? inode.data.size() : op.at, Pattern(op.number, size));
  expected.count = size;
  return expected;
}

Expected Model::Read(const Operation& op, const Handle& handle) {
  const Inode& inode = At(handle.inode);
  if (!handle.reads) return Fails(EBADF);
  if (inode.IsDirectory()) return Fails(EISDIR);
  const auto part = [&](const std::string& data) {
    return op.at >= data.size() ? std::string() : data.substr(op.at, op.size);
  };
  Expected expected;
  expected.bytes = part(inode.data);
  if (handle.image_data != inode.image_data) expected.other_bytes = part(*handle.image_data);
  return expected;
}

Expected Model::Allocate(const Operation& op, const Handle& handle) {
  Inode& inode = At(handle.inode);
  if (!handle.writes) return Fails(EBADF);
  const size_t end = op.at + op.size;
  const bool grows = op.number % 4 == 0 || op.number % 4 == 3;
  const bool zeroes = op.number % 4 >= 2;
  if (grows && end > inode.data.size()) inode.data.resize(end, '\0');
  for (size_t i = op.at; zeroes && i < std::min(end, inode.data.size()); ++i) inode.data[i] = '\0';
  inode.mtime_kind = MtimeKind::kUnknown;
  return {};
}

Expected Model::CopyRange(const Operation& op, const Handle& handle) {
  if (!handles_[Index(op.other_slot)]) return Skip();
  const Handle to = *handles_[Index(op.other_slot)];
  const Inode& from_inode = At(handle.inode);
  if (from_inode.IsDirectory() || At(to.inode).IsDirectory()) return Fails(EISDIR);
  if (!handle.reads || !to.writes || to.appends) return Fails(EBADF);
  if (handle.image_data != from_inode.image_data) return Skip();
  const size_t in = op.at, out = op.number, size = from_inode.data.size();
  const size_t count = in >= size ? 0 : std::min<size_t>(op.size, size - in);
  if (handle.inode == to.inode && out + count > in && in + count > out) return Fails(EINVAL);
  const std::string bytes = from_inode.data.substr(std::min(in, size), count);
  SetData(to.inode, out, bytes);
  Expected expected;
  expected.count = count;
  return expected;
}

}  // namespace strata::property
