// Episode: one sequence of operations on a fresh upper over the sample image, held to the model.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "tests/property/model.h"
#include "tests/property/target.h"

namespace strata::property {

struct EpisodeOptions {
  Target target = Target::kFuse;
  std::string directory = "/var/tmp";  // Everything is made below, and removed.
  size_t check_every = 250;            // The whole tree, besides at each remount and at the end.
};

struct Failure {
  size_t index = 0;  // Of the operation at which it was seen.
  std::string text;
};

struct EpisodeResult {
  std::optional<Failure> failure;
  uint64_t succeeded = 0;  // Operations that were carried out and were not refused.
};

// The next operation, or none: the end.
using Source = std::function<std::optional<Operation>(const Model&)>;

// Errors are of the test itself (no mount); a failure is the driver's. `*done`: what was carried
// out.
Result<EpisodeResult> RunEpisode(const EpisodeOptions& options, const Source& source,
                                 std::vector<Operation>* done);
Result<EpisodeResult> Replay(const EpisodeOptions& options,
                             const std::vector<Operation>& operations);

}  // namespace strata::property
