// What `imaged fsck` checks while no imaged runs: the catalog against its journal, records against
// each other, and every live byte against its digest. Repairs nothing that the opening of a
// repository does not repair anyhow, but for objects that a source has.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"
#include "imaged/fetch/object_fetcher.h"

namespace strata::imaged {

struct CheckedState {
  uint64_t images = 0;
  uint64_t objects = 0;
  uint64_t bytes = 0;
  uint64_t problems = 0;
};

// An error: the state cannot be opened (kCorrupt names the remedy), or another imaged has it open
// (kFailedPrecondition). `problem` is called for each that is found.
Result<CheckedState> CheckState(const std::string& state_dir,
                                std::vector<std::unique_ptr<ObjectFetcher>> fetchers,
                                const std::function<void(const std::string&)>& problem);

}  // namespace strata::imaged
