// CommitCrash: a process that ends at one of its commits, before that is made or after it. From
// then on it changes nothing any more, until the next process takes over. Thread-safe.
#pragma once

#include <atomic>

#include "tests/sim/faulty_store.h"

namespace strata::sim {

class CommitCrash {
 public:
  // `point`: the number of the commit, from Arm on; 0: none.
  CommitCrash(int point, bool is_made) : point_(point), is_made_(is_made) {}

  void Arm() { armed_ = true; }
  void TakeOver() {
    armed_ = false;
    dead_ = false;
  }
  bool dead() const { return dead_; }
  // As FaultyStore::Fate.
  CommitFate Meet() {
    if (dead_) return CommitFate::kNotMade;
    if (!armed_ || ++commits_ != point_) return CommitFate::kMade;
    dead_ = true;
    return is_made_ ? CommitFate::kAnswerLost : CommitFate::kNotMade;
  }

 private:
  const int point_;
  const bool is_made_;
  std::atomic<int> commits_ = 0;
  std::atomic<bool> armed_ = false;
  std::atomic<bool> dead_ = false;
};

}  // namespace strata::sim
