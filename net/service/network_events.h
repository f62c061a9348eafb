// What a NetworkKeeper did lately, for whoever watches. Who is too slow misses the oldest.
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "net/keeper.h"

namespace strata::net {

class NetworkEvents {
 public:
  void Add(const NetworkKeeper::Event& event);
  // How many there were so far.
  uint64_t count() const;
  // Those after the first `*seen`, of which it then says how many there were. Waits for one, for at
  // most so long.
  std::vector<NetworkKeeper::Event> After(uint64_t* seen, std::chrono::milliseconds wait);

 private:
  mutable std::mutex mutex_;  // Guards what follows.
  std::condition_variable added_;
  std::deque<NetworkKeeper::Event> events_;  // The last ones.
  uint64_t count_ = 0;
};

}  // namespace strata::net
