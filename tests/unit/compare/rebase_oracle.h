// What a rebase must give, said once more and differently: maps of whole images by path, judged
// from the root downwards, without layers, manifests or diffs. For one policy that holds
// everywhere.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "imaged/compare/rebase.h"
#include "imaged/manifest/tree.h"

namespace strata::imaged::testing {

// One name of an image.
struct Entry {
  uint32_t type = 0;
  std::map<std::string, std::string> fields;  // "mode", "owner", "content", "x/NAME".
  int64_t time = 0;
  bool operator==(const Entry&) const = default;
};
using Paths = std::map<std::string, Entry>;

Paths PathsOf(const Tree& tree);
std::vector<std::string> Lines(const Paths& paths);

struct Expected {
  Paths paths;
  std::map<std::string, ConflictKind> conflicts;
};
Expected ExpectRebase(const Paths& origin, const Paths& image, const Paths& base, Side side);

}  // namespace strata::imaged::testing
