#include "tools/cli/exit_code.h"

namespace strata::tools {

int ExitCodeOf(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return kExitUsage;
    case Code::kNotFound:
      return kExitNotFound;
    case Code::kAlreadyExists:
      return kExitAlreadyExists;
    case Code::kPermissionDenied:
      return kExitPermissionDenied;
    case Code::kFailedPrecondition:
    case Code::kResourceExhausted:
      return kExitNotNow;
    case Code::kCorrupt:
      return kExitCorrupt;
    case Code::kUnavailable:
      return kExitUnreachable;
    case Code::kCancelled:
      return kExitCancelled;
    case Code::kDeadlineExceeded:
    case Code::kUnsupported:
    case Code::kInternal:
      return kExitFailed;
  }
  return kExitFailed;
}

const char* ExitCodeHelp() {
  return "Exit codes: 0 done, 1 failed, 2 wrong usage or request, 3 not found, 4 not permitted,\n"
         "5 exists already, 6 the daemon does not answer, 7 not now (in use, full, over a limit),\n"
         "8 damaged data, 130 cancelled (Ctrl-C).";
}

}  // namespace strata::tools
