#include "tools/vcluster/raw_terminal.h"

#include <sys/ioctl.h>

namespace strata::tools {

TerminalSize SizeOfTerminal(int fd) {
  winsize size = {};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return {};
  return {size.ws_row, size.ws_col};
}

Result<std::unique_ptr<RawTerminal>> RawTerminal::Enter(int fd) {
  termios before = {};
  if (::tcgetattr(fd, &before) != 0) {
    return Error(Code::kInvalidArgument, "standard input is not a terminal: leave -t away");
  }
  std::unique_ptr<RawTerminal> terminal(new RawTerminal(fd, before));
  termios raw = before;
  ::cfmakeraw(&raw);
  if (::tcsetattr(fd, TCSADRAIN, &raw) != 0) return Errno("set the terminal to raw mode");
  return terminal;
}

// A failure means that the terminal is gone, and then there is nothing to restore.
void RawTerminal::Restore() { ::tcsetattr(fd_, TCSADRAIN, &before_); }

}  // namespace strata::tools
