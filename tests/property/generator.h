// Generator: random operations from a seed. It looks at the model, so that most of them mean
// something; what it answers is decided by the seed and the model alone.
#pragma once

#include <random>
#include <vector>

#include "tests/property/model.h"

namespace strata::property {

class Generator {
 public:
  // Paths stay below `prefix` ("" or a directory with a slash at its end).
  explicit Generator(uint64_t seed, std::string prefix = "")
      : random_(seed), prefix_(std::move(prefix)) {}
  Operation Next(const Model& model);

 private:
  uint64_t Below(uint64_t bound) { return random_() % bound; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  std::string Name();
  std::string AnyPath();
  std::string Path(const Model& model, bool for_new);
  uint64_t Size();
  uint64_t Offset();

  std::mt19937_64 random_;
  std::string prefix_;
};

}  // namespace strata::property
