#include "tools/cli/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <iostream>

namespace strata::tools {

Console StandardConsole() { return Console{std::cout, std::cerr, 0, 1, 2, ::isatty(2) == 1}; }

int TerminalColumns(int fd) {
  winsize size = {};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace strata::tools
