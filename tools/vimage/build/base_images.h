// Images of registries that a build names: FROM registry.lab:5000/team/app:1.2, COPY --from=…. They
// are brought here as 'vimage pull docker://…' does, before the first step, and stay as
// "build-cache:base-…" until 'vimage prune-build-cache'.
#pragma once

#include <map>
#include <string>

#include "common/result.h"
#include "imaged/build/build_plan.h"
#include "tools/vimage/build/build_log.h"
#include "tools/vimage/registry_transfer.h"

namespace strata::tools {

// Label of a base, and of what is built on it: where it is from, with its digest.
inline constexpr char kBaseLabel[] = "build.base";

struct BaseImage {
  std::string reference;  // Here.
  std::string location;   // "docker://…@sha256:…"
};

// What the plan's images of registries are called here, by what the Dockerfile calls them; images
// of this host are not among them. Those that are here are not brought again, unless `pull` and the
// registry has another by now. `how`: credentials and TLS. REQUIRES: no InterruptWatcher lives.
Result<std::map<std::string, BaseImage>> BringBases(Tool& tool,
                                                    const imaged::build::BuildPlan& plan,
                                                    const RegistryArguments& how, bool pull,
                                                    BuildLog& log);

}  // namespace strata::tools
