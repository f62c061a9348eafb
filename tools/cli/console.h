// Where a command reads and writes. Tests give their own streams.
#pragma once

#include <iosfwd>

namespace strata::tools {

// Results go to `out`; progress, warnings and errors to `err`. `stdin_fd` and `stdout_fd` carry
// bytes that are not text (archives, a node's terminal). Does not own anything.
struct Console {
  std::ostream& out;
  std::ostream& err;
  int stdin_fd = 0;
  int stdout_fd = 1;
  int stderr_fd = 2;
  bool err_is_terminal = false;
};

// Of this process.
Console StandardConsole();
// Columns of the terminal at `fd`; 80 when it is none.
int TerminalColumns(int fd);

}  // namespace strata::tools
