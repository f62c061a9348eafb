// The AppArmor profile of nodes, where the kernel has AppArmor: a second lock on what user
// namespaces refuse already (docs/isolation.md).
#pragma once

#include <string>

#include "common/result.h"

namespace strata::vcluster {

inline constexpr char kNodeProfile[] = "strata-node";

// The profile in apparmor_parser's language. Pure.
std::string NodeProfile();

bool HasAppArmor();

// Loads the profile into the kernel, in place of an older one, through a file in `run_dir`; answers
// its name, or "" where the kernel has no AppArmor. Running nodes are under the new one at once.
// kFailedPrecondition: the kernel has AppArmor and apparmor_parser is missing.
Result<std::string> LoadNodeProfile(const std::string& run_dir);

}  // namespace strata::vcluster
