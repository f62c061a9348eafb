// Shows how far a long call is: one line that is redrawn on a terminal, a plain line now and then
// otherwise, nothing when quiet. Used by one thread; time is given by the caller.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "tools/cli/console.h"

namespace strata::tools {

struct ProgressState {
  std::string stage;
  uint64_t done = 0;
  uint64_t total = 0;     // 0: not known.
  bool in_bytes = false;  // How `done` and `total` are shown.
  uint64_t entries = 0;   // Shown when not 0.
};

class ProgressLine {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `what` starts every line: "import debian". REQUIRES: `console` outlives this.
  ProgressLine(Console& console, std::string what, bool quiet);
  ~ProgressLine() { Clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Update(const ProgressState& state, Time now = std::chrono::steady_clock::now());
  // Takes the redrawn line away: call before anything else is printed.
  void Clear();

 private:
  std::string Text(const ProgressState& state, double rate) const;

  Console& console_;
  const std::string what_;
  const bool quiet_;
  bool drawn_ = false;
  bool started_ = false;
  std::string stage_;
  Time stage_start_;
  Time last_shown_;
};

// "[#####-----]", `width` characters between the brackets.
std::string Bar(uint64_t done, uint64_t total, int width);

}  // namespace strata::tools
