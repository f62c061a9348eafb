// Waiting in tests of masters with threads.
#pragma once

#include <chrono>
#include <thread>

namespace strata::vcluster {

// Until `condition` holds; false: it did not in 20 s.
template <typename Condition>
bool Await(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace strata::vcluster
