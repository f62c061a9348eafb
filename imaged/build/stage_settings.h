// What the instructions of a stage say besides its files: arguments, variables and the image's
// configuration, as Docker accumulates them. Not thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "imaged/api/imaged.pb.h"
#include "imaged/build/dockerfile.h"
#include "imaged/build/variables.h"

namespace strata::imaged::build {

// Values of ARGs that every build knows.
using Arguments = std::map<std::string, std::string>;

class StageSettings {
 public:
  // `given`: of --build-arg; `global`: of the ARGs before FROM and what every build knows.
  StageSettings(const Arguments& given, const Arguments& global);

  // FROM an image, or (with what its ARGs had) an earlier stage.
  void StartFrom(const v1::ImageConfig& config);
  void StartFrom(const StageSettings& stage);

  // Everything but FROM, RUN, COPY and ADD. Errors without file and line. WORKDIR: working_dir() is
  // the new one, and the caller makes it. What cannot be kept is in warnings().
  Status Apply(const Instruction& instruction, char escape);

  // A word with its variables replaced.
  Result<std::string> Expand(const std::string& text, char escape) const;
  Result<std::vector<std::string>> ExpandAll(const std::string& text, char escape) const;
  VariableLookup Lookup() const;

  // "NAME=value" for RUN: what is in its cache key, ascending.
  std::vector<std::string> Environment() const;
  // Also proxies that were given without an ARG: they change nothing of what comes out.
  std::vector<std::string> EnvironmentWithProxies() const;
  // What RUN executes; a text is given to the shell.
  std::vector<std::string> CommandOf(const Instruction& run) const;
  // "/" when it was not said.
  std::string working_dir() const;
  const v1::ImageConfig& config() const { return config_; }
  std::vector<std::string> TakeWarnings() { return std::move(warnings_); }
  // A step for the image's history; `layer`: what it made, or empty.
  void AddHistory(const std::string& text, const std::string& layer);

 private:
  Status ApplyArgument(const Instruction& instruction, char escape);
  Status ApplyEnvironment(const Instruction& instruction, char escape);
  Status ApplyCommand(const Instruction& instruction);
  Status ApplyWorkingDir(const Instruction& instruction, char escape);
  Status ApplyList(const Instruction& instruction, char escape);
  Status ApplyText(const Instruction& instruction, char escape);
  // "NAME=value NAME2=value2", or "NAME value".
  Result<std::vector<std::pair<std::string, std::string>>> Pairs(const Instruction& instruction,
                                                                 char escape) const;
  void SetVariable(const std::string& name, const std::string& value);

  Arguments given_;
  Arguments global_;
  Arguments arguments_;  // Declared by ARG, and set.
  v1::ImageConfig config_;
  std::vector<std::string> shell_ = {"/bin/sh", "-c"};
  bool command_said_ = false;  // CMD in this stage: ENTRYPOINT leaves it alone.
  std::vector<std::string> warnings_;
};

// The values that ARGs before FROM and FROM itself see: `given`, defaults, TARGETPLATFORM and its
// kin (of this host).
Result<Arguments> GlobalArguments(const Dockerfile& file, const Arguments& given);
// TARGETPLATFORM, TARGETOS, TARGETARCH, BUILDPLATFORM, …: of this host.
Arguments PlatformArguments();

}  // namespace strata::imaged::build
