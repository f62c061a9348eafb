// Dockerfiles as instructions (https://docs.docker.com/reference/dockerfile/). Foreign bytes in,
// within limits; every error is kInvalidArgument (kResourceExhausted beyond a limit, kUnsupported
// for what Strata does not do) and starts with "FILE:LINE: ".
//
// Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace strata::imaged::build {

inline constexpr size_t kDockerfileBytesMax = 1u << 20;
inline constexpr size_t kInstructionsMax = 2000;
inline constexpr size_t kStagesMax = 100;
inline constexpr size_t kWordsMax = 2000;  // Of one instruction.

struct Flag {
  std::string name;  // "mount" of "--mount=type=secret".
  std::string value;
  bool operator==(const Flag&) const = default;
};

struct Heredoc {
  std::string name;
  std::string content;  // Whole lines.
  bool expand = true;   // False: its name was quoted.
};

struct Instruction {
  int line = 0;         // Where it starts, from 1.
  std::string keyword;  // In capitals.
  std::vector<Flag> flags;
  std::string text;  // What follows the flags, lines joined, without blanks around it.
  std::optional<std::vector<std::string>> words;  // The JSON form of `text`, if it is one.
  std::vector<Heredoc> heredocs;
};

struct Stage {
  Instruction from;
  std::string base;      // As written: an image, an earlier stage or "scratch".
  std::string name;      // In lower case; empty: it has none.
  std::string platform;  // As written; empty: not said.
  std::vector<Instruction> instructions;
};

struct Dockerfile {
  std::string path;  // For messages.
  char escape = '\\';
  std::vector<Instruction> global_arguments;  // ARG before the first FROM.
  std::vector<Stage> stages;                  // At least one.
};

// `path` is what messages call it.
Result<Dockerfile> ParseDockerfile(std::string_view text, const std::string& path);

// "path:line: message".
Error ErrorAt(const std::string& path, const Instruction& at, Code code,
              const std::string& message);

// Splits at blanks that are not quoted; quotes and escapes stay. kInvalidArgument: a quote is open.
Result<std::vector<std::string>> SplitWords(std::string_view text, char escape);

// A JSON list of strings; nullopt for anything else.
std::optional<std::vector<std::string>> ParseJsonWords(std::string_view text);

}  // namespace strata::imaged::build
