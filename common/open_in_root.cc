#include "common/open_in_root.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace strata {
namespace {

constexpr int kAttemptsMax = 1000;

}  // namespace

UniqueFd OpenInRoot(int root, const char* path, uint64_t flags, uint64_t mode) {
  open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd;
  for (int attempt = 0; attempt < kAttemptsMax && !fd.valid(); ++attempt) {
    fd.reset(static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof(how))));
    if (!fd.valid() && errno != EAGAIN && errno != EINTR) break;
  }
  return fd;
}

}  // namespace strata
