// What imaged does instead of serving: checks and repairs of a state that no other imaged has open
// (docs/crash-safety.md). Results go to standard output; the answers are exit codes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "imaged/fetch/object_fetcher.h"

namespace strata::imaged {

inline constexpr int kExitProblems = 8;  // As of `vimage fsck`.

// `state_dir` is imaged's own, <state>/imaged.
int FsckCommand(const std::string& state_dir, std::vector<std::unique_ptr<ObjectFetcher>> fetchers);
int RebuildCatalogCommand(const std::string& state_dir, bool adopt_unnamed);
int RebuildJournalCommand(const std::string& state_dir);

}  // namespace strata::imaged
