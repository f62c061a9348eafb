// Result<T> and Status: how every fallible call of the project answers.
//
// An Error is made where the fault is seen, wrapped with context on the way up (Wrap,
// ASSIGN_OR_RETURN), and logged or shown once at the top. Each boundary maps codes in one file:
// errno in layerfs, gRPC status in common/rpc, exit codes in tools. CHECK (common/log.h) is for our
// own broken invariants, never for bytes from disk, peers or users.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace strata {

enum class Code {
  kInvalidArgument,     // The request itself is wrong; repeating it cannot help.
  kNotFound,            // The named thing does not exist, or the caller may not know of it.
  kAlreadyExists,       // The name is taken.
  kPermissionDenied,    // The caller is known and may not do this.
  kFailedPrecondition,  // Not now: something must change first, and the message says what.
  kResourceExhausted,   // A limit, a quota or the disk is full.
  kCorrupt,             // Bytes do not match their digest or their format.
  kUnavailable,         // A daemon or peer does not answer; repeating may help.
  kCancelled,           // The caller asked to stop.
  kDeadlineExceeded,    // A time bound ran out.
  kUnsupported,         // This kernel, file system or build cannot do it.
  kInternal,            // An unexpected system error or a bug.
};

std::string_view CodeName(Code code);

class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message, int sys_errno = 0)
      : code_(code), errno_(sys_errno), message_(std::move(message)) {}

  Code code() const { return code_; }
  // The errno behind this error, or 0. layerfs answers the kernel with it.
  int sys_errno() const { return errno_; }
  const std::string& message() const { return message_; }

  // "context: message", same code and errno.
  Error Wrap(std::string_view context) const;

 private:
  Code code_;
  int errno_;
  std::string message_;
};

template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  Result(Error error) : tl::expected<T, Error>(tl::unexpect, std::move(error)) {}
  bool ok() const { return this->has_value(); }
};

using Status = Result<void>;

inline Status Ok() { return Status(); }

// Code and text for the current errno: Errno("open /a/b") -> "open /a/b: No such file or
// directory".
Error Errno(std::string_view what);
Error Errno(std::string_view what, int sys_errno);

}  // namespace strata

#define STRATA_CONCAT_INNER(a, b) a##b
#define STRATA_CONCAT(a, b) STRATA_CONCAT_INNER(a, b)

// RETURN_IF_ERROR(expr) passes the error on; RETURN_IF_ERROR(expr, "context") wraps it.
#define RETURN_IF_ERROR(expr, ...)                                   \
  STRATA_RETURN_IF_ERROR(STRATA_CONCAT(strata_status_, __COUNTER__), \
                         expr __VA_OPT__(, ) __VA_ARGS__)
#define STRATA_RETURN_IF_ERROR(tmp, expr, ...)                                      \
  do {                                                                              \
    if (auto tmp = (expr); !tmp.ok())                                               \
      return ::strata::internal::MaybeWrap(tmp.error() __VA_OPT__(, ) __VA_ARGS__); \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, expr, ...)                                   \
  STRATA_ASSIGN_OR_RETURN(STRATA_CONCAT(strata_result_, __COUNTER__), lhs, \
                          expr __VA_OPT__(, ) __VA_ARGS__)
#define STRATA_ASSIGN_OR_RETURN(tmp, lhs, expr, ...)                                           \
  auto tmp = (expr);                                                                           \
  if (!tmp.ok()) return ::strata::internal::MaybeWrap(tmp.error() __VA_OPT__(, ) __VA_ARGS__); \
  lhs = std::move(*tmp)

namespace strata::internal {
inline Error MaybeWrap(Error& error) { return std::move(error); }
inline Error MaybeWrap(const Error& error, std::string_view context) { return error.Wrap(context); }
}  // namespace strata::internal
