// Paths in a manifest, and what lies below them.
//
// Errors: kCorrupt. Thread-safe, like the reader.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "imaged/manifest/erofs_reader.h"

namespace strata::imaged {

// "a" of "a/b", "" of "a".
std::string ParentPath(const std::string& path);

// Where a relative path leads, without following symbolic links; "" is the root.
struct PathLookup {
  std::optional<Nid> nid;
  bool parent_is_directory = true;
};
Result<PathLookup> FindPath(const ErofsReader& tree, std::string_view path);

// Whether two directories hold the same below them; their own attributes, times and hard links do
// not count.
Result<bool> HoldTheSame(const ErofsReader& tree, Nid directory, const ErofsReader& other_tree,
                         Nid other_directory);

// The names in `directory` that `other_directory` has not.
Result<std::vector<std::string>> NamesOnlyIn(const ErofsReader& tree, Nid directory,
                                             const ErofsReader& other_tree, Nid other_directory);

}  // namespace strata::imaged
