// A crowd: several sequences at once on one mount, each in a directory of its own and held to its
// model, and two more in a directory that they share. Those are not modelled: they must see no
// error that only a fault of the driver explains, and what they leave must be a sound tree that the
// next mount shows unchanged.
#pragma once

#include <atomic>
#include <string>

#include "common/result.h"
#include "tests/property/episode.h"

namespace strata::property {

// What went wrong; empty: nothing. `operations` of each sequence; ends early when `stop` is set.
Result<std::string> RunCrowd(const EpisodeOptions& options, uint64_t seed, unsigned threads,
                             uint64_t operations, const std::atomic<bool>& stop);

}  // namespace strata::property
