#include "layerfs/fuse/upper.h"

#include <dirent.h>
#include <sys/xattr.h>

#include <cstdio>
#include <cstring>

#include "common/file_io.h"
#include "common/log.h"
#include "layerfs/fuse/overlay_format.h"

namespace strata::layerfs {
namespace {

constexpr size_t kCachedDirectoriesMax = 1024;

struct HandleBuffer {
  alignas(file_handle) unsigned char bytes[sizeof(file_handle) + 40];
  file_handle* get() { return reinterpret_cast<file_handle*>(bytes); }
};

}  // namespace

ProcPath::ProcPath(int fd) { std::snprintf(text_, sizeof(text_), "/proc/self/fd/%d", fd); }

Status ChangeMode(int fd, mode_t mode) {
  if (::fchmod(fd, mode) == 0) return Ok();
  if (errno != EBADF || ::chmod(ProcPath(fd).c_str(), mode) != 0) return Errno("chmod");
  return Ok();
}

Status ChangeTimes(int fd, const timespec times[2]) {
  if (::utimensat(fd, "", times, AT_EMPTY_PATH) != 0) return Errno("set times");
  return Ok();
}

Result<DirectoryTimes> DirectoryTimes::Read(int dir_fd) {
  struct stat st;
  if (::fstat(dir_fd, &st) != 0) return Errno("stat a directory");
  DirectoryTimes times;
  times.dir_fd_ = dir_fd;
  times.times_[0] = st.st_atim;
  times.times_[1] = st.st_mtim;
  return times;
}

void DirectoryTimes::Restore() const {
  if (const Status status = ChangeTimes(dir_fd_, times_); !status.ok()) {
    LOG_WARNING("a directory's times are not restored: " + status.error().message());
  }
}

Result<std::unique_ptr<UpperStore>> UpperStore::Open(const std::string& upper_dir,
                                                     const std::string& work_dir) {
  auto store = std::unique_ptr<UpperStore>(new UpperStore());
  store->work_dir_ = work_dir;
  ASSIGN_OR_RETURN(store->root_, strata::Open(upper_dir, O_RDONLY | O_DIRECTORY));
  const std::string work = work_dir + "/work";
  RETURN_IF_ERROR(MakeDirectories(work, 0700));
  ASSIGN_OR_RETURN(store->work_, strata::Open(work, O_RDONLY | O_DIRECTORY));
  // What is built in there has the modes that it is given.
  if (::fremovexattr(store->work_.get(), "system.posix_acl_default") != 0 && errno != ENODATA &&
      errno != EOPNOTSUPP) {
    return Errno("default ACL of " + work);
  }
  struct stat root_st, work_st;
  if (::fstat(store->root_.get(), &root_st) != 0) return Errno("stat " + upper_dir);
  if (::fstat(store->work_.get(), &work_st) != 0) return Errno("stat " + work);
  if (root_st.st_dev != work_st.st_dev) {
    return Error(Code::kInvalidArgument,
                 work_dir + " and " + upper_dir + " are not on the same file system", EXDEV);
  }
  // Temporaries of a run that was killed.
  DIR* stream = ::fdopendir(::openat(store->work_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (stream == nullptr) return Errno("opendir " + work);
  std::unique_ptr<DIR, int (*)(DIR*)> closer(stream, ::closedir);
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") RETURN_IF_ERROR(RemoveTree(work + "/" + name));
  }
  return store;
}

Result<UpperRef> UpperStore::MakeRef(int fd, uint64_t ino) const {
  UpperRef ref;
  ref.ino = ino;
  HandleBuffer buffer;
  buffer.get()->handle_bytes = static_cast<unsigned>(ref.handle.size());
  int mount_id;
  if (::name_to_handle_at(fd, "", buffer.get(), &mount_id, AT_EMPTY_PATH) == 0) {
    ref.handle_type = buffer.get()->handle_type;
    ref.handle_size = buffer.get()->handle_bytes;
    std::memcpy(ref.handle.data(), buffer.get()->f_handle, ref.handle_size);
    return ref;
  }
  if (errno != EOPNOTSUPP && errno != EOVERFLOW) return Errno("name_to_handle_at");
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) return Errno("dup");
  ref.pinned = std::make_shared<const UniqueFd>(std::move(copy));
  return ref;
}

UpperRef UpperStore::Pin(const UpperRef& ref, UniqueFd fd) {
  UpperRef pinned = ref;
  pinned.pinned = std::make_shared<const UniqueFd>(std::move(fd));
  return pinned;
}

Result<UniqueFd> UpperStore::OpenFile(const UpperRef& ref, int flags) const {
  int fd;
  if (ref.pinned) {
    fd = ::open(ProcPath(ref.pinned->get()).c_str(), flags | O_CLOEXEC);
  } else {
    HandleBuffer buffer;
    buffer.get()->handle_type = ref.handle_type;
    buffer.get()->handle_bytes = ref.handle_size;
    std::memcpy(buffer.get()->f_handle, ref.handle.data(), ref.handle_size);
    fd = ::open_by_handle_at(root_.get(), buffer.get(), flags | O_CLOEXEC);
  }
  if (fd < 0) return Errno("open inode " + std::to_string(ref.ino));
  return UniqueFd(fd);
}

Result<SharedFd> UpperStore::OpenPath(const UpperRef& ref) const {
  if (ref.pinned) return ref.pinned;
  ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(ref, O_PATH | O_NOFOLLOW));
  return SharedFd(std::make_shared<const UniqueFd>(std::move(fd)));
}

Result<SharedFd> UpperStore::Directory(const UpperRef& ref) {
  if (ref.pinned) return ref.pinned;
  {
    const std::lock_guard lock(lru_mutex_);
    if (const auto found = lru_index_.find(ref.ino); found != lru_index_.end()) {
      lru_.splice(lru_.begin(), lru_, found->second);
      return found->second->second;
    }
  }
  ASSIGN_OR_RETURN(UniqueFd opened, OpenFile(ref, O_PATH | O_DIRECTORY));
  const SharedFd fd = std::make_shared<const UniqueFd>(std::move(opened));
  const std::lock_guard lock(lru_mutex_);
  if (lru_index_.contains(ref.ino)) return fd;  // Somebody else was faster.
  lru_.emplace_front(ref.ino, fd);
  lru_index_[ref.ino] = lru_.begin();
  if (lru_.size() > kCachedDirectoriesMax) {
    lru_index_.erase(lru_.back().first);
    lru_.pop_back();
  }
  return fd;
}

void UpperStore::DropDirectory(uint64_t ino) {
  const std::lock_guard lock(lru_mutex_);
  const auto found = lru_index_.find(ino);
  if (found == lru_index_.end()) return;
  lru_.erase(found->second);
  lru_index_.erase(found);
}

std::string UpperStore::NewWorkName() {
  return "#" + std::to_string(next_work_name_.fetch_add(1, std::memory_order_relaxed));
}

void UpperStore::RemoveFromWork(const std::string& name) const {
  if (::unlinkat(work_.get(), name.c_str(), 0) == 0 || errno == ENOENT) return;
  if (Status status = RemoveTree(work_dir_ + "/work/" + name); !status.ok()) {
    LOG_WARNING("left in the work directory until the next start: " + status.error().message());
  }
}

Result<int> UpperStore::MoveToIndex(const std::string& work_name, const std::string& index_name) {
  int index;
  {
    const std::lock_guard lock(index_mutex_);
    if (!index_.valid()) {
      const std::string path = work_dir_ + "/index";
      if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Errno("mkdir " + path);
      ASSIGN_OR_RETURN(index_, strata::Open(path, O_RDONLY | O_DIRECTORY));
    }
    index = index_.get();
  }
  if (::renameat(work_.get(), work_name.c_str(), index, index_name.c_str()) != 0) {
    return Errno("enter in the index");
  }
  return index;
}

void UpperStore::RemoveFromIndex(const std::string& index_name) const {
  if (index_.valid() && ::unlinkat(index_.get(), index_name.c_str(), 0) != 0 && errno != ENOENT) {
    LOG_WARNING(Errno("left in the index until the next start").message());
  }
}

Status UpperStore::MakeWhiteout(int dir_fd, const std::string& name) {
  const std::lock_guard lock(whiteout_mutex_);
  if (!whiteout_.empty()) {
    if (::linkat(work_.get(), whiteout_.c_str(), dir_fd, name.c_str(), 0) == 0) return Ok();
    if (errno != EMLINK) return Errno("whiteout " + name);
    // The inode has all the links it can have: the next one starts afresh.
    if (::unlinkat(work_.get(), whiteout_.c_str(), 0) != 0) return Errno("unlink a whiteout");
    whiteout_.clear();
  }
  std::string fresh = NewWorkName();
  if (::mknodat(work_.get(), fresh.c_str(), S_IFCHR, makedev(0, 0)) != 0) {
    return Errno("make a whiteout");
  }
  whiteout_ = std::move(fresh);
  if (::linkat(work_.get(), whiteout_.c_str(), dir_fd, name.c_str(), 0) != 0) {
    return Errno("whiteout " + name);
  }
  return Ok();
}

}  // namespace strata::layerfs
