#include "vclusterd/runtime/node_terminal.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <termios.h>

#include <algorithm>
#include <string>

#include "common/file_io.h"

namespace strata::vcluster {

Result<NodeTerminal> OpenNodeTerminal(pid_t init, uid_t owner, uint32_t rows, uint32_t columns) {
  const std::string root_path = "/proc/" + std::to_string(init) + "/root";
  ASSIGN_OR_RETURN(const UniqueFd root, Open(root_path, O_PATH | O_DIRECTORY));
  open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;
  const UniqueFd found(
      static_cast<int>(::syscall(SYS_openat2, root.get(), "dev/pts/ptmx", &how, sizeof(how))));
  if (!found.valid()) return Errno("the node's /dev/pts/ptmx");
  // Looked at before it is opened: opening a device of the node's choice could do anything.
  struct statfs fs;
  if (::fstatfs(found.get(), &fs) != 0) return Errno("statfs of the node's /dev/pts");
  if (fs.f_type != DEVPTS_SUPER_MAGIC) {
    return Error(Code::kFailedPrecondition, "the node has no /dev/pts of its own");
  }
  NodeTerminal pair;
  ASSIGN_OR_RETURN(pair.controller,
                   Open("/proc/self/fd/" + std::to_string(found.get()), O_RDWR | O_NOCTTY));
  const int unlock = 0;
  if (::ioctl(pair.controller.get(), TIOCSPTLCK, &unlock) != 0) return Errno("unlock the terminal");
  pair.terminal =
      UniqueFd(::ioctl(pair.controller.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pair.terminal.valid()) return Errno("open the terminal");
  if (::fchown(pair.terminal.get(), owner, owner) != 0) return Errno("chown the terminal");
  RETURN_IF_ERROR(ResizeTerminal(pair.controller.get(), rows, columns));
  return pair;
}

Status ResizeTerminal(int controller, uint32_t rows, uint32_t columns) {
  winsize size = {};
  size.ws_row = static_cast<unsigned short>(std::clamp(rows, 1u, 10'000u));
  size.ws_col = static_cast<unsigned short>(std::clamp(columns, 1u, 10'000u));
  if (::ioctl(controller, TIOCSWINSZ, &size) != 0) return Errno("resize the terminal");
  return Ok();
}

}  // namespace strata::vcluster
