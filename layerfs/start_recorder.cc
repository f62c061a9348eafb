#include "layerfs/start_recorder.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include <climits>
#include <cstring>
#include <unordered_set>

#include "common/file_io.h"
#include "common/log.h"

namespace strata::layerfs {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kEventBytes = 64 * 1024;

std::string PathOf(int fd) {
  char path[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = ::readlink(link.c_str(), path, sizeof(path));
  return size > 0 ? std::string(path, static_cast<size_t>(size)) : std::string();
}

}  // namespace

Result<std::unique_ptr<StartRecorder>> StartRecorder::Begin(int root,
                                                            std::chrono::milliseconds time,
                                                            std::string mountpoint, Done done) {
  UniqueFd group(::fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK,
                                 O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NONBLOCK));
  if (!group.valid()) {
    const Error error = Errno("fanotify");
    return Error(Code::kUnsupported, error.message(), error.sys_errno());
  }
  if (::fanotify_mark(group.get(), FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN, root, ".") != 0) {
    const Error error = Errno("watch the opens of a root");
    return Error(Code::kUnsupported, error.message(), error.sys_errno());
  }
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop.valid()) return Errno("eventfd");
  std::unique_ptr<StartRecorder> recorder(
      new StartRecorder(std::move(group), std::move(stop), std::move(mountpoint)));
  recorder->thread_ =
      std::thread([recorder = recorder.get(), end = Clock::now() + time, done = std::move(done)] {
        std::vector<std::string> paths;
        if (recorder->Collect(end, &paths)) done(std::move(paths));
        recorder->ended_ = true;
      });
  return recorder;
}

StartRecorder::~StartRecorder() {
  const uint64_t one = 1;
  if (::write(stop_.get(), &one, sizeof(one)) < 0) LOG_ERROR(Errno("eventfd").message());
  thread_.join();
}

bool StartRecorder::Collect(Clock::time_point end, std::vector<std::string>* paths) {
  char buffer[kEventBytes];
  std::unordered_set<std::string> seen;
  while (paths->size() < kPathsMax) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) return true;
    pollfd fds[] = {{group_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (::poll(fds, 2, static_cast<int>(left.count())) < 0 && errno != EINTR) return true;
    if (fds[1].revents != 0) return false;
    const ssize_t size = ::read(group_.get(), buffer, sizeof(buffer));
    fanotify_event_metadata event;
    for (ssize_t at = 0; size - at >= static_cast<ssize_t>(sizeof(event)); at += event.event_len) {
      std::memcpy(&event, buffer + at, sizeof(event));
      if (event.event_len < sizeof(event)) break;
      if (event.vers != FANOTIFY_METADATA_VERSION || event.fd < 0) continue;  // An overflow.
      const UniqueFd fd(event.fd);
      std::string path = PathOf(fd.get());
      if (!mountpoint_.empty() && path.starts_with(mountpoint_ + "/")) {
        path.erase(0, mountpoint_.size());
      }
      if (!path.empty() && seen.insert(path).second) paths->push_back(std::move(path));
    }
  }
  return true;
}

}  // namespace strata::layerfs
