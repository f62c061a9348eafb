// The flags of RUN, COPY and ADD. Errors without file and line; kUnsupported names the flag.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "imaged/build/dockerfile.h"
#include "imaged/build/stage_settings.h"

namespace strata::tools {

struct SecretMount {
  std::string id;
  std::string target;  // Absolute.
  uint32_t mode = 0400;
  uint32_t uid = 0;
  uint32_t gid = 0;
  bool required = false;
};

// RUN --mount of a tmpfs, of files of the context or another stage, or of a kept directory.
struct TreeMount {
  enum class Kind { kTmpfs, kBind, kCache };
  Kind kind = Kind::kBind;
  std::string target;  // Absolute.
  std::string from;    // Bind: a stage or an image; empty: the context.
  std::string source;  // Bind: what of it; empty: all.
  std::string id;      // Cache.
  bool read_only = false;
  uint64_t size_bytes = 0;  // Tmpfs: 0 is the kernel's default.
  uint32_t mode = 0755;     // Cache, with uid and gid.
  uint32_t uid = 0;
  uint32_t gid = 0;
};

// All that RUN's flags can say here.
struct RunMounts {
  std::vector<SecretMount> secrets;
  std::vector<TreeMount> trees;
};
Result<RunMounts> ReadRunMounts(const imaged::build::Instruction& run,
                                const imaged::build::StageSettings& settings, char escape);

struct CopyOptions {
  std::string from;   // Empty: the context.
  std::string owner;  // "user", "user:group", of names or numbers; empty: not said.
  std::optional<uint32_t> mode;
  std::vector<std::string> words;  // Sources, then the destination.
};
Result<CopyOptions> ReadCopyOptions(const imaged::build::Instruction& instruction,
                                    const imaged::build::StageSettings& settings, char escape);

}  // namespace strata::tools
