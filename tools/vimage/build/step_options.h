// The flags of RUN, COPY and ADD. Errors without file and line; kUnsupported names the flag.
#pragma once

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

// All that RUN's flags can say here.
Result<std::vector<SecretMount>> SecretMounts(const imaged::build::Instruction& run,
                                              const imaged::build::StageSettings& settings,
                                              char escape);

struct CopyOptions {
  std::string from;   // Empty: the context.
  std::string owner;  // "user", "user:group", of names or numbers; empty: not said.
  std::optional<uint32_t> mode;
  std::vector<std::string> words;  // Sources, then the destination.
};
Result<CopyOptions> ReadCopyOptions(const imaged::build::Instruction& instruction,
                                    const imaged::build::StageSettings& settings, char escape);

}  // namespace strata::tools
