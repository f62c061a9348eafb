// Passwords are typed without being seen, or come from standard input; never from a command line,
// which everybody on the host can read.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "tools/cli/console.h"

namespace strata::tools {

// Asks on the error stream and reads one line of the terminal at console.stdin_fd, whose echo is
// off meanwhile. kInvalidArgument when that is no terminal; kCancelled after Ctrl-C.
Result<std::string> TypePassword(Console& console, const std::string& prompt);

// A new one, which is typed twice.
Result<std::string> TypeNewPassword(Console& console);

// `prompts.size()` lines of standard input, each without its end. kInvalidArgument when there are
// more or fewer: the message names them by `prompts`.
Result<std::vector<std::string>> ReadPasswords(Console& console,
                                               const std::vector<std::string>& prompts);

}  // namespace strata::tools
