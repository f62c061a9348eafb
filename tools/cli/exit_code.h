// Exit codes of every command: the one place where our errors become numbers for a shell.
#pragma once

#include "common/result.h"

namespace strata::tools {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,  // Anything without a number of its own.
  kExitUsage = 2,   // Wrong command line, or a request that can never work.
  kExitNotFound = 3,
  kExitPermissionDenied = 4,
  kExitAlreadyExists = 5,
  kExitUnreachable = 6,   // The daemon does not answer.
  kExitNotNow = 7,        // In use, stopped, full, or over a limit: the message says which.
  kExitCorrupt = 8,       // Stored or given bytes are damaged; what fsck found.
  kExitExecFailed = 125,  // `vcluster exec` itself failed, so that 1..124 are the command's own.
  kExitCancelled = 130,   // Ctrl-C (128 + SIGINT), as shells tell it.
};

int ExitCodeOf(Code code);

// The table above as text, for --help.
const char* ExitCodeHelp();

}  // namespace strata::tools
