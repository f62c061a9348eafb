#include "imaged/save/upper_scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "common/parallel.h"
#include "imaged/archive/file_capture.h"

namespace strata::imaged {
namespace {

// ctime advances with the timer tick on kernels before 6.13 (at most 10 ms); this is far beyond.
constexpr int64_t kGranularityNs = 50'000'000;
// Open descriptors while contents wait for the threads that read them.
constexpr size_t kPendingMax = 256;

int64_t Nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

int64_t NowNs() {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return Nanoseconds(now);
}

Result<std::vector<std::string>> ReadNames(int fd) {
  ASSIGN_OR_RETURN(UniqueFd copy, OpenAt(fd, ".", O_RDONLY | O_DIRECTORY | O_NOATIME));
  DIR* stream = ::fdopendir(copy.get());
  if (stream == nullptr) return Errno("opendir");
  copy.release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  const int error = errno;
  ::closedir(stream);
  if (error != 0) return Errno("readdir", error);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

Result<std::unique_ptr<UpperScan>> UpperScan::Open(const std::string& upper_dir,
                                                   const std::string& work_dir, Ingest* ingest,
                                                   Options options) {
  ASSIGN_OR_RETURN(UniqueFd upper, strata::Open(upper_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  auto index = strata::Open(work_dir + "/index", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!index.ok() && index.error().code() != Code::kNotFound) return index.error();
  return std::unique_ptr<UpperScan>(new UpperScan(
      std::move(upper), index.ok() ? std::move(*index) : UniqueFd(), ingest, std::move(options)));
}

UpperScan::UpperScan(UniqueFd upper, UniqueFd index, Ingest* ingest, Options options)
    : upper_(std::move(upper)),
      index_(std::move(index)),
      ingest_(ingest),
      options_(std::move(options)) {}

UpperScan::Stamp UpperScan::StampOf(const struct stat& st) {
  return {static_cast<uint64_t>(st.st_size), Nanoseconds(st.st_mtim), Nanoseconds(st.st_ctim)};
}

bool UpperScan::Vanished(const Error& error) const {
  return !frozen_ && (error.code() == Code::kNotFound || error.sys_errno() == ESTALE);
}

Result<RoundStats> UpperScan::Round(bool frozen) {
  frozen_ = frozen;
  ++round_;
  stats_ = {};
  settled_before_ns_ = NowNs() - kGranularityNs;
  if (!frozen && ::syncfs(upper_.get()) != 0) return Errno("syncfs of the upper directory");
  if (frozen) RETURN_IF_ERROR(LookAhead());
  snapshot_ = {};

  struct stat st;
  if (::fstat(upper_.get(), &st) != 0) return Errno("stat the upper directory");
  ASSIGN_OR_RETURN(UniqueFd root, OpenAt(upper_.get(), ".", O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(Known * known, CaptureOpen(std::move(root), st));
  snapshot_.entries.push_back({"", known->captured, {}});
  RETURN_IF_ERROR(WalkDirectory(upper_.get(), 0, known));
  if (index_.valid()) RETURN_IF_ERROR(ScanIndex(), "index of the work directory");
  RETURN_IF_ERROR(FlushContents());
  std::erase_if(known_, [this](const auto& item) { return item.second.round != round_; });
  stats_.entries = snapshot_.entries.size() - 1;
  return stats_;
}

Status UpperScan::WalkDirectory(int fd, uint32_t position, Known* known) {
  if (options_.cancel != nullptr) RETURN_IF_ERROR(options_.cancel->Check());
  // Names are read anew only when the directory changed (Capture forgot them then).
  if (known->names.empty()) {
    ASSIGN_OR_RETURN(known->names, ReadNames(fd));
  }
  const std::vector<struct stat> looked_at = std::exchange(known->looked_at, {});
  for (size_t i = 0; i < known->names.size(); ++i) {
    const std::string& name = known->names[i];
    const struct stat* st = looked_at.empty() ? nullptr : &looked_at[i];
    ASSIGN_OR_RETURN(const bool seen, Visit(fd, name, st, position), name);
    if (!seen) known->settled = false;
  }
  return Ok();
}

Status UpperScan::LookAhead() {
  // Directories of the round before. A path leads only through directories that it saw.
  struct Directory {
    std::string path;
    Known* known;
  };
  std::vector<Directory> directories;
  std::vector<std::string> paths(snapshot_.entries.size());
  for (size_t i = 0; i < snapshot_.entries.size(); ++i) {
    const UpperEntry& entry = snapshot_.entries[i];
    if (!entry.captured->inode.IsDirectory()) continue;
    for (const uint32_t child : entry.children) {
      paths[child] =
          i == 0 ? snapshot_.entries[child].name : paths[i] + "/" + snapshot_.entries[child].name;
    }
    const auto known = known_.find(entry.captured->number);
    if (known == known_.end() || known->second.names.empty()) continue;
    directories.push_back({i == 0 ? "." : paths[i], &known->second});
  }
  return ParallelFor(directories.size(),
                     [&](size_t i) { return LookInto(directories[i].path, directories[i].known); });
}

Status UpperScan::LookInto(const std::string& path, Known* known) const {
  open_how how = {};
  how.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  const UniqueFd fd(
      static_cast<int>(::syscall(SYS_openat2, upper_.get(), path.c_str(), &how, sizeof(how))));
  struct stat st;
  // Another directory may have taken its place.
  if (!fd.valid() || ::fstat(fd.get(), &st) != 0 || known->captured->number != st.st_ino) {
    return Ok();
  }
  std::vector<struct stat> looked_at(known->names.size());
  for (size_t i = 0; i < looked_at.size(); ++i) {
    if (::fstatat(fd.get(), known->names[i].c_str(), &looked_at[i], AT_SYMLINK_NOFOLLOW) != 0) {
      return Ok();  // The walk will say what is wrong.
    }
  }
  known->looked_at = std::move(looked_at);
  return Ok();
}

Result<bool> UpperScan::Visit(int dir_fd, const std::string& name, const struct stat* looked_at,
                              uint32_t parent) {
  struct stat st;
  if (looked_at != nullptr) {
    st = *looked_at;
  } else if (::fstatat(dir_fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    Error error = Errno("stat");
    if (Vanished(error)) return false;
    return error;
  }
  ASSIGN_OR_RETURN(Known * known, Capture(dir_fd, name, st));
  if (known == nullptr) return false;
  const auto position = static_cast<uint32_t>(snapshot_.entries.size());
  snapshot_.entries.push_back({name, known->captured, {}});
  snapshot_.entries[parent].children.push_back(position);
  if (!S_ISDIR(st.st_mode)) return true;
  auto child = OpenAt(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME);
  if (!child.ok()) {
    if (Vanished(child.error())) return true;  // Empty in this round; the next one sees it.
    return child.error();
  }
  RETURN_IF_ERROR(WalkDirectory(child->get(), position, known));
  return true;
}

Status UpperScan::ScanIndex() {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ReadNames(index_.get()));
  for (const std::string& name : names) {
    const std::optional<uint64_t> lower = LowerInodeOfIndexName(name);
    struct stat st;
    if (!lower || ::fstatat(index_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISDIR(st.st_mode) || S_ISCHR(st.st_mode)) continue;  // Directories and whiteouts.
    ASSIGN_OR_RETURN(Known * known, Capture(index_.get(), name, st), name);
    if (known != nullptr) snapshot_.index.emplace(*lower, known->captured);
  }
  return Ok();
}

Result<UpperScan::Known*> UpperScan::Capture(int dir_fd, const std::string& name,
                                             const struct stat& st) {
  if (const auto it = known_.find(st.st_ino); it != known_.end()) {
    Known& known = it->second;
    if (known.round == round_ || (known.settled && known.stamp == StampOf(st))) {
      known.round = round_;
      return &known;
    }
  }
  auto fd = OpenAt(dir_fd, name, O_PATH | O_NOFOLLOW);
  if (!fd.ok()) {
    if (Vanished(fd.error())) return nullptr;
    return fd.error();
  }
  struct stat now;
  if (::fstat(fd->get(), &now) != 0) return Errno("stat");
  // Replaced between the two looks: it counts as vanished, the next round takes the new one.
  if (now.st_ino != st.st_ino || (now.st_mode & S_IFMT) != (st.st_mode & S_IFMT)) return nullptr;
  return CaptureOpen(std::move(*fd), now);
}

Result<UpperScan::Known*> UpperScan::CaptureOpen(UniqueFd fd, const struct stat& st) {
  auto captured = std::make_shared<CapturedInode>();
  captured->number = st.st_ino;
  ASSIGN_OR_RETURN(captured->inode, CaptureMetadata(fd.get(), st));
  captured->marks = TakeOverlayMarks(&captured->inode.xattrs);
  ++stats_.captured;

  Known& known = known_[st.st_ino];
  known.stamp = StampOf(st);
  known.settled = known.stamp.ctime_ns < settled_before_ns_;
  known.captured = captured;
  known.names.clear();
  known.looked_at.clear();
  known.round = round_;
  if (S_ISREG(st.st_mode) && !captured->marks.metacopy && st.st_size > 0) {
    stats_.captured_bytes += static_cast<uint64_t>(st.st_size);
    pending_.push_back({std::move(fd), &known});
    if (pending_.size() >= kPendingMax) RETURN_IF_ERROR(FlushContents());
  }
  return &known;
}

Status UpperScan::FlushContents() {
  std::vector<PendingContent> pending = std::move(pending_);
  pending_.clear();
  RETURN_IF_ERROR(ParallelFor(pending.size(), [&](size_t i) -> Status {
    if (options_.cancel != nullptr) RETURN_IF_ERROR(options_.cancel->Check());
    return CaptureContent(pending[i].fd.get(), *ingest_, &pending[i].known->captured->inode);
  }));
  if (options_.progress) options_.progress(snapshot_.entries.size(), stats_.captured_bytes);
  return Ok();
}

}  // namespace strata::imaged
