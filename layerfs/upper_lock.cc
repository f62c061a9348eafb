#include "layerfs/upper_lock.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>

#include <algorithm>

#include "common/file_io.h"

namespace strata::layerfs {
namespace {

using Clock = std::chrono::steady_clock;

Error InUse(const std::string& upper_dir) {
  return Error(Code::kFailedPrecondition, upper_dir + ": in use by a running layerfs", EBUSY);
}

// Waits for somebody to close the directory. The kernel tells of a close a moment before it drops
// the lock, so the caller must look again soon: hence the bound on one wait.
Status WaitForClose(int inotify_fd, Clock::time_point deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  pollfd poll_fd{inotify_fd, POLLIN, 0};
  const int n = ::poll(&poll_fd, 1, static_cast<int>(std::clamp<int64_t>(left, 0, 20)));
  if (n < 0 && errno != EINTR) return Errno("poll");
  char events[4096];
  if (n > 0 && ::read(inotify_fd, events, sizeof(events)) < 0 && errno != EAGAIN) {
    return Errno("read inotify events");
  }
  return Ok();
}

}  // namespace

Result<UniqueFd> TakeUpperLock(const std::string& upper_dir, std::chrono::milliseconds wait) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(upper_dir, O_RDONLY | O_DIRECTORY));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return Errno("lock " + upper_dir);
  const UniqueFd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify.valid()) return Errno("inotify_init");
  if (::inotify_add_watch(inotify.get(), upper_dir.c_str(), IN_CLOSE | IN_ONLYDIR) < 0) {
    return Errno("watch " + upper_dir);
  }
  const auto deadline = Clock::now() + wait;
  while (true) {
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
    if (errno != EWOULDBLOCK) return Errno("lock " + upper_dir);
    if (Clock::now() >= deadline) return InUse(upper_dir);
    RETURN_IF_ERROR(WaitForClose(inotify.get(), deadline));
  }
}

Status WaitUntilUpperFree(const std::string& upper_dir, std::chrono::milliseconds wait) {
  ASSIGN_OR_RETURN(UniqueFd lock, TakeUpperLock(upper_dir, wait));
  return lock.Close();
}

}  // namespace strata::layerfs
