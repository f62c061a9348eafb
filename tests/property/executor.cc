#include "tests/property/executor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <memory>
#include <set>

#include "tests/property/model.h"

namespace strata::property {
namespace {

constexpr const char* kAclNames[] = {"system.posix_acl_access", "system.posix_acl_default"};

Outcome Answer(long result) {
  Outcome outcome;
  if (result < 0) {
    outcome.error = errno;
  } else {
    outcome.count = result;
  }
  return outcome;
}

Outcome Moved(Outcome outcome, int64_t count) {
  outcome.count = count;
  return outcome;
}

Outcome Write(int fd, const Operation& op) {
  const std::string bytes = Pattern(op.number, op.size);
  size_t done = 0;
  do {
    const ssize_t n =
        ::pwrite(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(op.at + done));
    if (n < 0) return Moved(Answer(-1), static_cast<int64_t>(done));
    done += static_cast<size_t>(n);
  } while (done < bytes.size());
  return Moved({}, static_cast<int64_t>(done));
}

Outcome MapWrite(int fd, const Operation& op) {
  struct stat st;
  if (::fstat(fd, &st) != 0) return Answer(-1);
  const size_t end = std::min(static_cast<size_t>(st.st_size), op.at + op.size);
  if (end <= op.at) return {};
  const size_t page = 4096;
  const size_t first = op.at / page * page;
  void* map = ::mmap(nullptr, end - first, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                     static_cast<off_t>(first));
  if (map == MAP_FAILED) return Answer(-1);
  const std::string bytes = Pattern(op.number, end - op.at);
  bytes.copy(static_cast<char*>(map) + (op.at - first), bytes.size());
  const int synced = op.number % 2 == 0 ? ::msync(map, end - first, MS_SYNC) : 0;
  const Outcome outcome = Answer(synced);
  ::munmap(map, end - first);
  return outcome.error == 0 ? Moved(outcome, static_cast<int64_t>(bytes.size())) : outcome;
}

Outcome Read(int fd, const Operation& op) {
  Outcome outcome;
  outcome.bytes.resize(op.size);
  size_t done = 0;
  do {
    const ssize_t n =
        ::pread(fd, outcome.bytes.data() + done, op.size - done, static_cast<off_t>(op.at + done));
    if (n < 0) return Answer(-1);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  } while (done < op.size);
  outcome.bytes.resize(done);
  return outcome;
}

Outcome CopyRange(int in, int out, const Operation& op) {
  off_t from = static_cast<off_t>(op.at), to = static_cast<off_t>(op.number);
  struct stat st;
  if (::fstat(in, &st) != 0) return Answer(-1);
  // A copy within one file makes it longer, but copies no more than was there.
  const size_t left = st.st_size > from ? static_cast<size_t>(st.st_size - from) : 0;
  const size_t size = std::min(op.size, left);
  size_t done = 0;
  do {
    const ssize_t n = ::copy_file_range(in, &from, out, &to, done == 0 ? op.size : size - done, 0);
    if (n < 0) return Answer(-1);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  } while (done < size);
  return Moved({}, static_cast<int64_t>(done));
}

Outcome Allocate(int fd, const Operation& op) {
  constexpr int kModes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
                            FALLOC_FL_ZERO_RANGE};
  return Answer(::fallocate(fd, kModes[op.number % 4], static_cast<off_t>(op.at),
                            static_cast<off_t>(op.size)));
}

Outcome List(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(path.c_str()), ::closedir);
  if (stream == nullptr) return Answer(-1);
  std::multiset<std::string> names;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.insert(name);
  }
  Outcome outcome;
  for (const std::string& name : names) outcome.bytes += name + "\n";
  return outcome;
}

Outcome SetXattr(const char* path, const Operation& op) {
  constexpr int kFlags[] = {0, XATTR_CREATE, XATTR_REPLACE};
  const std::string value = Pattern(op.number, op.size);
  return Answer(::lsetxattr(path, std::string(XattrNameOf(op.at)).c_str(), value.data(),
                            value.size(), kFlags[op.number % 3]));
}

}  // namespace

int Look(int fd, Seen* seen) {
  if (::fstatat(fd, "", &seen->st, AT_EMPTY_PATH) != 0) return errno;
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  char names[4096];
  const ssize_t size = ::listxattr(path.c_str(), names, sizeof(names));
  if (size < 0) return errno == EOPNOTSUPP ? 0 : errno;
  for (const char* name = names; name < names + size; name += std::string_view(name).size() + 1) {
    char value[4096];
    const ssize_t length = ::getxattr(path.c_str(), name, value, sizeof(value));
    if (length < 0) return errno;
    seen->xattrs[name] = std::string(value, static_cast<size_t>(length));
  }
  return 0;
}

int ReadWhole(int fd, std::string* bytes) {
  bytes->clear();
  char buffer[65536];
  while (true) {
    const ssize_t n = ::pread(fd, buffer, sizeof(buffer), static_cast<off_t>(bytes->size()));
    if (n < 0) return errno;
    if (n == 0) return 0;
    bytes->append(buffer, static_cast<size_t>(n));
  }
}

void Executor::CloseAll() {
  for (UniqueFd& slot : slots_) slot.reset();
}

int Executor::OpenInto(int slot, const std::string& path, int flags, mode_t mode) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK, mode);
  if (fd >= 0) Slot(slot).reset(fd);
  return fd;
}

Outcome Executor::Apply(const Operation& op) {
  switch (op.kind) {
    case Kind::kCreate:
    case Kind::kOpen:
    case Kind::kReopen:
    case Kind::kTmpfile:
    case Kind::kLinkFd:
    case Kind::kReadFile:
    case Kind::kRemount:
      return OnFile(op);
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
    default:
      return OnPath(op);
  }
}

Outcome Executor::OnFile(const Operation& op) {
  const std::string full = Full(op.path);
  switch (op.kind) {
    case Kind::kCreate: {
      const UniqueFd fd(::open(full.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC,
                               static_cast<mode_t>(op.at & 0777)));
      if (!fd.valid()) return Answer(-1);
      Operation write = op;
      write.at = 0;
      return Write(fd.get(), write);
    }
    case Kind::kOpen:
      return Answer(OpenInto(op.slot, full, static_cast<int>(op.at), 0644));
    case Kind::kReopen:
      return Answer(OpenInto(op.other_slot, "/proc/self/fd/" + std::to_string(fd(op.slot)),
                             static_cast<int>(op.at & O_ACCMODE), 0));
    case Kind::kTmpfile:
      return Answer(OpenInto(op.slot, full, O_TMPFILE | O_RDWR, 0644));
    case Kind::kLinkFd:
      return Answer(::linkat(fd(op.slot), "", AT_FDCWD, full.c_str(), AT_EMPTY_PATH));
    case Kind::kReadFile: {
      const UniqueFd fd(::open(full.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
      if (!fd.valid()) return Answer(-1);
      Outcome outcome;
      outcome.error = ReadWhole(fd.get(), &outcome.bytes);
      return outcome;
    }
    default:
      return {};
  }
}

Outcome Executor::OnHandle(const Operation& op) {
  const int file = fd(op.slot);
  switch (op.kind) {
    case Kind::kClose:
      Slot(op.slot).reset();
      return {};
    case Kind::kWrite:
      return Write(file, op);
    case Kind::kMapWrite:
      return MapWrite(file, op);
    case Kind::kRead:
      return Read(file, op);
    case Kind::kFtruncate:
      return Answer(::ftruncate(file, static_cast<off_t>(op.size)));
    case Kind::kAllocate:
      return Allocate(file, op);
    case Kind::kSeek:
      return Answer(
          ::lseek(file, static_cast<off_t>(op.at), op.number % 2 == 0 ? SEEK_DATA : SEEK_HOLE));
    case Kind::kCopyRange:
      return CopyRange(file, fd(op.other_slot), op);
    case Kind::kSync:
      return Answer(::fsync(file));
    case Kind::kFchmod:
      return Answer(::fchmod(file, static_cast<mode_t>(op.at)));
    case Kind::kFutimens: {
      const timespec times[2] = {{1, 0}, {static_cast<time_t>(op.number), 0}};
      return Answer(::futimens(file, times));
    }
    default: {
      Outcome outcome;
      outcome.error = Look(file, &outcome.seen);
      return outcome;
    }
  }
}

Outcome Executor::OnPath(const Operation& op) {
  const std::string full = Full(op.path);
  const std::string full_other = Full(op.other);
  const char* path = full.c_str();
  const char* other = full_other.c_str();
  const timespec times[2] = {{1, 0}, {static_cast<time_t>(op.number), 0}};
  const auto renamed = [&](unsigned flags) {
    return Answer(::renameat2(AT_FDCWD, path, AT_FDCWD, other, flags));
  };
  switch (op.kind) {
    case Kind::kTruncate:
      return Answer(::truncate(path, static_cast<off_t>(op.size)));
    case Kind::kChmod:
      return Answer(::chmod(path, static_cast<mode_t>(op.at)));
    case Kind::kChown:
      return Answer(::lchown(path, static_cast<uid_t>(op.at), static_cast<gid_t>(op.size)));
    case Kind::kUtimes:
      return Answer(::utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW));
    case Kind::kSetXattr:
      return SetXattr(path, op);
    case Kind::kRemoveXattr:
      return Answer(::lremovexattr(path, std::string(XattrNameOf(op.at)).c_str()));
    case Kind::kSetAcl: {
      const std::string value = AclValue(AclOf(op.number));
      return Answer(::setxattr(path, kAclNames[op.at % 2], value.data(), value.size(), 0));
    }
    case Kind::kRemoveAcl:
      return Answer(::removexattr(path, kAclNames[op.at % 2]));
    case Kind::kMkdir:
      return Answer(::mkdir(path, static_cast<mode_t>(op.at & 01777)));
    case Kind::kRmdir:
      return Answer(::rmdir(path));
    case Kind::kUnlink:
      return Answer(::unlink(path));
    case Kind::kRename:
      return renamed(0);
    case Kind::kRenameNoReplace:
      return renamed(RENAME_NOREPLACE);
    case Kind::kExchange:
      return renamed(RENAME_EXCHANGE);
    case Kind::kLink:
      return Answer(::link(path, other));
    case Kind::kSymlink:
      return Answer(::symlink(op.other.c_str(), path));
    case Kind::kMknod: {
      constexpr mode_t kTypes[] = {S_IFIFO, S_IFSOCK, S_IFCHR};
      const dev_t device = op.at % 3 == 2 ? makedev(1, 3) : 0;
      return Answer(::mknod(path, kTypes[op.at % 3] | 0666, device));
    }
    case Kind::kReadlink: {
      char target[4096];
      const ssize_t size = ::readlink(path, target, sizeof(target));
      Outcome outcome = Answer(size);
      if (size >= 0) outcome.bytes.assign(target, static_cast<size_t>(size));
      return outcome;
    }
    case Kind::kList:
      return List(full);
    default: {  // Stat.
      const UniqueFd fd(::open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC));
      if (!fd.valid()) return Answer(-1);
      Outcome outcome;
      outcome.error = Look(fd.get(), &outcome.seen);
      return outcome;
    }
  }
}

}  // namespace strata::property
