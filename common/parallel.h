// Runs independent pieces of work on several threads and waits for all of them.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "common/result.h"

namespace strata {

// Calls `work(i)` for every i in [0, count), on at most `threads` threads (0: one per core). After
// the first error no further piece is started; that error is the answer.
template <typename Work>
Status ParallelFor(size_t count, Work work, size_t threads = 0) {
  if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
  threads = std::min(threads, count);
  std::atomic<size_t> next{0};
  std::mutex mutex;  // Guards error.
  std::optional<Error> error;
  const auto run = [&] {
    for (size_t i = next++; i < count; i = next++) {
      if (Status status = work(i); !status.ok()) {
        const std::lock_guard<std::mutex> lock(mutex);
        if (!error) error = status.error();
        next = count;
      }
    }
  };
  if (threads <= 1) {
    run();
  } else {
    std::vector<std::jthread> pool;
    for (size_t i = 0; i < threads; ++i) pool.emplace_back(run);
  }
  if (error) return *error;
  return Ok();
}

}  // namespace strata
