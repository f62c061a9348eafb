// What a conformance case gets: a fresh directory with known content (lower content on a union),
// and words to say what must hold. A failed expectation is recorded and the case goes on, so that
// the caller can compare the outcome with the table of known differences.
#pragma once

#include <sys/stat.h>

#include <cerrno>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::conformance {

class Env {
 public:
  Env(std::string directory, std::function<Status()> remount)
      : directory_(std::move(directory)), remount_(std::move(remount)) {}

  // The absolute path of `name` below the case's directory; valid as long as the Env.
  const char* p(std::string_view name);
  const std::string& directory() const { return directory_; }

  // Unmounts and mounts again: with the other driver where there is one. Holding a descriptor
  // below the directory makes it fail.
  void Remount();

  long Ok(long result, const char* call, int line);
  void Fails(int expected_errno, long result, const char* call, int line);
  void True(bool holds, const char* what, int line);
  void Fail(const std::string& text, int line);
  template <typename A, typename B>
  void Same(const A& a, const B& b, const char* what, int line) {
    if (a == static_cast<A>(b)) return;
    Fail(std::string(what) + ": " + Text(a) + " is not " + Text(b), line);
  }
  const std::vector<std::string>& failures() const { return failures_; }

  // Small pieces of work, each of which records its own failure.
  struct stat Stat(const char* path, int line);
  std::string Read(const char* path, int line);
  void Write(const char* path, std::string_view content, int line);  // O_CREAT | O_TRUNC, 0644.
  UniqueFd Open(const char* path, int flags, mode_t mode, int line);
  std::vector<std::string> List(const char* path, int line);  // Sorted, without . and ..
  std::string Xattr(const char* path, const char* name, int line);

  // Runs `body` in a child with this uid and gid, no capabilities and no groups. The body answers 0
  // or an errno, which is the answer.
  int As(uid_t uid, const std::function<int()>& body);

 private:
  template <typename T>
  static std::string Text(const T& value) {
    if constexpr (std::is_arithmetic_v<T>) {
      return std::to_string(value);
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      std::string text;
      for (const std::string& one : value) text += " " + one;
      return "[" + text + " ]";
    } else {
      return "'" + std::string(value).substr(0, 80) + "'";
    }
  }

  std::string directory_;
  std::function<Status()> remount_;
  std::deque<std::string> paths_;
  std::vector<std::string> failures_;
};

// The errno of a call in As(): 0 when it succeeded.
inline int ErrnoOf(long result) { return result < 0 ? errno : 0; }

#define OK(call) e.Ok((call), #call, __LINE__)
#define FAILS(error, call) e.Fails(error, (call), #call, __LINE__)
#define HOLDS(condition) e.True(condition, #condition, __LINE__)
#define SAME(a, b) e.Same(a, b, #a, __LINE__)
#define STAT(path) e.Stat(e.p(path), __LINE__)
#define READ(path) e.Read(e.p(path), __LINE__)
#define WRITE(path, content) e.Write(e.p(path), content, __LINE__)
#define OPEN(path, flags) e.Open(e.p(path), flags, 0644, __LINE__)
#define LIST(path) e.List(e.p(path), __LINE__)
#define XATTR(path, name) e.Xattr(e.p(path), name, __LINE__)

}  // namespace strata::conformance
