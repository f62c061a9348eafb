// .dockerignore: which files of a build's context are left out. A pattern is a path from the
// context's root; * and ? do not cross a '/', ** does, [a-z] is a class, \ takes the next character
// as it is, ! takes files back in. A pattern that matches a directory matches all below it; of
// several that match the last one counts. Also matches the sources of COPY.
//
// Immutable, thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace strata::imaged::build {

inline constexpr size_t kIgnoreBytesMax = 1u << 20;
inline constexpr size_t kIgnorePatternsMax = 2000;
inline constexpr size_t kPatternBytesMax = 1024;

// Whether the whole of `path` ("a/b") matches. Linear in their product at most.
bool MatchesPattern(std::string_view pattern, std::string_view path);
// Whether `text` holds *, ? or [.
bool IsPattern(std::string_view text);
// Without ".", "..", double and outer slashes: "/a/../b//c/" is "b/c", "" is the root.
std::string CleanPath(std::string_view path);

class IgnoreFile {
 public:
  IgnoreFile() = default;  // Leaves nothing out.
  // `path` is for messages: kInvalidArgument, kResourceExhausted name its line.
  static Result<IgnoreFile> Parse(std::string_view text, const std::string& path);

  // `path`: relative, clean.
  bool Ignores(std::string_view path) const;
  // Whether an ignored directory has to be looked into all the same.
  bool has_exceptions() const { return has_exceptions_; }

 private:
  struct Pattern {
    std::string text;
    bool exception = false;
  };
  std::vector<Pattern> patterns_;
  bool has_exceptions_ = false;
};

}  // namespace strata::imaged::build
