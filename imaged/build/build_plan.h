// Which stages of a Dockerfile a build needs, and what each waits for. Pure, thread-safe.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/result.h"
#include "imaged/build/dockerfile.h"
#include "imaged/build/stage_settings.h"

namespace strata::imaged::build {

// Where files or a base come from: an earlier stage, or an image.
struct Source {
  std::optional<size_t> stage;
  std::string image;  // A reference; "scratch" as a base. Empty when it is a stage.
};

struct PlannedStage {
  size_t stage = 0;  // In Dockerfile::stages.
  Source base;
  std::set<size_t> waits_for;    // Stages, all of them earlier.
  std::set<std::string> images;  // That --from takes files from, besides the base.
  std::string title;             // Its name, or "stage 2".
};

struct BuildPlan {
  Arguments global;                  // GlobalArguments().
  std::vector<PlannedStage> stages;  // Those that are needed, in the file's order.
  std::vector<size_t> targets;       // Of each wanted target, in Dockerfile::stages.
};

// `targets`: names or numbers (from 0) of stages; "" is the last one. Errors name file and line;
// kNotFound: no such stage.
Result<BuildPlan> PlanBuild(const Dockerfile& file, const Arguments& given,
                            const std::vector<std::string>& targets);

// What "--from=TEXT" in stage `stage` means.
Result<Source> ResolveFrom(const Dockerfile& file, size_t stage, const std::string& text);

}  // namespace strata::imaged::build
