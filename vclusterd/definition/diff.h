// What changes between two Definitions, key by key, and what each change takes.
//
// REQUIRES: CheckDefinition accepts both. Pure, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "vclusterd/definition/definition.h"

namespace strata::vcluster {

enum class ChangeEffect {
  kLive,       // At once; running nodes stay as they are.
  kNextStart,  // In each node when it starts next.
  kRecreate,   // In nodes that are made anew: those that are there must be, or stay as they are.
  kRefused,    // It cannot change: delete the Vcluster and make another.
};

struct DefinitionChange {
  std::string path;  // "roles.worker.count"
  // As a file writes them, in one line. Empty: there is none.
  std::string from;
  std::string to;
  ChangeEffect effect = ChangeEffect::kLive;
  bool operator==(const DefinitionChange&) const = default;
};

// Empty when the two are equal. In the order of keys in a file: first what is of the whole, then
// role by role as in `to`, with roles that are gone at the end.
std::vector<DefinitionChange> DiffDefinitions(const Definition& from, const Definition& to);

// One line per change, for people: "roles.worker.count: 3 -> 5 (at once)".
std::string FormatChanges(const std::vector<DefinitionChange>& changes);

}  // namespace strata::vcluster
