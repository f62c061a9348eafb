// What is wrong with a Definition, fault by fault: CheckDefinition in pieces. Pure, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "vclusterd/definition/definition.h"

namespace strata::vcluster::file {

// At most so many are told; the rest is counted.
inline constexpr size_t kFaultsShownMax = 20;

struct Fault {
  std::string path;  // "roles.worker.limits.memory"; empty: the whole.
  std::string reason;
};

std::vector<Fault> FindFaults(const Definition& definition);

// Of one role by itself; paths are those within a role: "limits.memory", "ports[1].host".
std::vector<Fault> FindFaultsOfRole(const Role& role);

}  // namespace strata::vcluster::file
