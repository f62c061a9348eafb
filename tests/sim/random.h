// Random: all that is left to chance in a simulation, from one seed. The same on every machine.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/sim/event_queue.h"

namespace strata::sim {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  uint64_t Below(uint64_t end) { return engine_() % end; }
  uint64_t Between(uint64_t least, uint64_t most) { return least + Below(most - least + 1); }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  bool Chance(double probability) {
    return static_cast<double>(engine_() >> 11) * 0x1.0p-53 < probability;
  }
  milliseconds Between(milliseconds least, milliseconds most) {
    return milliseconds(
        Between(static_cast<uint64_t>(least.count()), static_cast<uint64_t>(most.count())));
  }
  template <typename T>
  T& Of(std::vector<T>& items) {
    return items[Below(items.size())];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace strata::sim
