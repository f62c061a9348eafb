#include "imaged/transfer/partial_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <vector>

#include "common/file_io.h"
#include "imaged/transfer/limits.h"

namespace strata::imaged::transfer {
namespace {

struct CloseDir {
  void operator()(DIR* stream) const { ::closedir(stream); }
};

struct Found {
  std::string path;
  uint64_t size = 0;
  time_t changed = 0;
};

Result<std::vector<Found>> ListFiles(const std::string& directory) {
  const std::unique_ptr<DIR, CloseDir> stream(::opendir(directory.c_str()));
  if (stream == nullptr) return Errno("open " + directory);
  std::vector<Found> files;
  while (true) {
    errno = 0;
    const dirent* const entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    struct stat st;
    const std::string path = directory + "/" + entry->d_name;
    if (::lstat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
    files.push_back({path, static_cast<uint64_t>(st.st_size), st.st_mtime});
  }
  if (errno != 0) return Errno("read " + directory);
  return files;
}

// False: somebody else writes it, or has made an object of it.
bool Lock(int fd, const std::string& path) {
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) return false;
  struct stat ours, there;
  return ::fstat(fd, &ours) == 0 && ::lstat(path.c_str(), &there) == 0 &&
         ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

bool IsZeros(std::string_view bytes) {
  return !bytes.empty() && bytes[0] == '\0' &&
         std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

}  // namespace

Status PartialFile::Append(std::string_view bytes) {
  if (IsZeros(bytes)) {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size_ + bytes.size())) != 0) {
      return Errno("grow " + path_);
    }
  } else {
    RETURN_IF_ERROR(PWriteAll(fd_.get(), bytes, size_), path_);
  }
  size_ += bytes.size();
  return Ok();
}

Status PartialFile::Remove() {
  if (::unlink(path_.c_str()) != 0 && errno != ENOENT) return Errno("remove " + path_);
  return Ok();
}

Result<std::unique_ptr<PartialFiles>> PartialFiles::Open(const std::string& store_root,
                                                         const PartialLimits& limits) {
  const std::string directory = store_root + "/partial";
  RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  std::unique_ptr<PartialFiles> files(new PartialFiles(directory, limits));
  const std::lock_guard lock(files->mutex_);
  RETURN_IF_ERROR(files->Prune(0));
  return files;
}

Status PartialFiles::Prune(uint64_t bytes) {
  ASSIGN_OR_RETURN(auto files, ListFiles(directory_));
  std::sort(files.begin(), files.end(),
            [](const Found& one, const Found& other) { return one.changed < other.changed; });
  uint64_t sum = bytes;
  for (const Found& file : files) sum += file.size;
  const time_t oldest = ::time(nullptr) - limits_.age_max.count();
  for (const Found& file : files) {
    // Only the first transfer of an object leaves a file that another can go on with.
    const bool resumable = file.path.find('.', directory_.size()) == std::string::npos;
    if (resumable && file.changed >= oldest && sum <= limits_.bytes_max) continue;
    const auto fd = strata::Open(file.path, O_RDWR | O_NOFOLLOW);
    if (!fd.ok() || !Lock(fd->get(), file.path)) continue;
    if (::unlink(file.path.c_str()) != 0) return Errno("remove " + file.path);
    sum -= file.size;
  }
  return Ok();
}

Result<std::unique_ptr<PartialFile>> PartialFiles::Resume(const Digest& digest,
                                                          uint64_t object_bytes) {
  const std::string path = directory_ + "/" + digest.Hex();
  auto fd = strata::Open(path, O_RDWR | O_NOFOLLOW);
  if (!fd.ok()) {
    if (fd.error().code() == Code::kNotFound) return std::unique_ptr<PartialFile>();
    return fd.error();
  }
  if (!Lock(fd->get(), path)) return std::unique_ptr<PartialFile>();
  struct stat st;
  if (::fstat(fd->get(), &st) != 0) return Errno("stat " + path);
  // At least a part is left to come, so that the object ends in the usual way.
  const uint64_t last = object_bytes == 0 ? 0 : (object_bytes - 1) / kGroupBytes * kGroupBytes;
  const uint64_t size =
      std::min(static_cast<uint64_t>(st.st_size) / kGroupBytes * kGroupBytes, last);
  if (::ftruncate(fd->get(), static_cast<off_t>(size)) != 0) return Errno("cut " + path);
  return std::make_unique<PartialFile>(path, std::move(*fd), size);
}

Result<std::unique_ptr<PartialFile>> PartialFiles::Create(const Digest& digest,
                                                          uint64_t object_bytes) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(Prune(object_bytes));
  std::string path = directory_ + "/" + digest.Hex();
  auto fd = strata::Open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (fd.ok() && !Lock(fd->get(), path)) {
    path += "." + std::to_string(next_++);
    fd = strata::Open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd.ok() && !Lock(fd->get(), path)) return Error(Code::kInternal, path + " is locked");
  }
  if (!fd.ok()) return fd.error();
  if (::ftruncate(fd->get(), 0) != 0) return Errno("cut " + path);
  return std::make_unique<PartialFile>(path, std::move(*fd), 0);
}

}  // namespace strata::imaged::transfer
