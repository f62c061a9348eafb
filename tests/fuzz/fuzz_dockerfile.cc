// Any bytes as a Dockerfile, as the words in it and as an ignore file: an error, or a plan.
//   build/fuzz/bin/make_dockerfile_seeds SEEDS && build/fuzz/bin/fuzz_dockerfile CORPUS SEEDS
#include <cstdint>
#include <string_view>

#include "common/log.h"
#include "imaged/build/build_plan.h"
#include "imaged/build/ignore_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace strata::imaged::build;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto file = ParseDockerfile(text, "D");
  if (file.ok()) {
    CHECK(!file->stages.empty());
    const auto plan = PlanBuild(*file, {}, {""});
    if (plan.ok()) CHECK(plan->stages.back().stage == file->stages.size() - 1);
    for (const Stage& stage : file->stages) {
      StageSettings settings({}, {});
      settings.StartFrom(strata::imaged::v1::ImageConfig());
      for (const Instruction& instruction : stage.instructions) {
        if (instruction.keyword == "RUN") (void)settings.CommandOf(instruction);
        (void)settings.Apply(instruction, file->escape);
      }
    }
  } else {
    CHECK(!file.error().message().empty());
  }
  if (size <= 2000) {
    const auto ignore = IgnoreFile::Parse(text, "I");
    if (ignore.ok()) (void)ignore->Ignores(CleanPath(text.substr(0, 200)));
  }
  return 0;
}
