#include "common/result.h"

#include <cerrno>
#include <system_error>

namespace strata {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return "invalid argument";
    case Code::kNotFound:
      return "not found";
    case Code::kAlreadyExists:
      return "already exists";
    case Code::kPermissionDenied:
      return "permission denied";
    case Code::kFailedPrecondition:
      return "failed precondition";
    case Code::kResourceExhausted:
      return "resource exhausted";
    case Code::kCorrupt:
      return "corrupt";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kCancelled:
      return "cancelled";
    case Code::kDeadlineExceeded:
      return "deadline exceeded";
    case Code::kUnsupported:
      return "unsupported";
    case Code::kInternal:
      return "internal";
  }
  return "unknown";
}

Error Error::Wrap(std::string_view context) const {
  return Error(code_, std::string(context) + ": " + message_, errno_);
}

namespace {

Code CodeFromErrno(int sys_errno) {
  switch (sys_errno) {
    case ENOENT:
    case ENOTDIR:
      return Code::kNotFound;
    case EEXIST:
      return Code::kAlreadyExists;
    case EACCES:
    case EPERM:
      return Code::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return Code::kResourceExhausted;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
      return Code::kInvalidArgument;
    case EBUSY:
    case ENOTEMPTY:
    case EROFS:
      return Code::kFailedPrecondition;
    case ECANCELED:
      return Code::kCancelled;
    case ETIMEDOUT:
      return Code::kDeadlineExceeded;
    case ECONNREFUSED:
    case EPIPE:
      return Code::kUnavailable;
    case EOPNOTSUPP:
    case ENOSYS:
      return Code::kUnsupported;
    default:
      return Code::kInternal;
  }
}

}  // namespace

Error Errno(std::string_view what, int sys_errno) {
  return Error(CodeFromErrno(sys_errno),
               std::string(what) + ": " + std::generic_category().message(sys_errno), sys_errno);
}

Error Errno(std::string_view what) { return Errno(what, errno); }

}  // namespace strata
