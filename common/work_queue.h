// WorkQueue: pieces of work that a bounded number of threads does in the order in which they are
// due. Threads are started when they are needed and kept.
//
// Thread-safe. Work may push more work.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace strata {

class WorkQueue {
 public:
  using Clock = std::chrono::steady_clock;
  // Must not throw.
  using Work = std::function<void()>;

  // REQUIRES: threads >= 1.
  explicit WorkQueue(size_t threads) : threads_max_(threads) {}
  // As Close.
  ~WorkQueue() { Close(); }
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  // Done not before `delay` is over. After Close it is thrown away.
  void Push(Work work, std::chrono::nanoseconds delay = {});

  // Waits for what is being done; what has not begun is thrown away. Not to be called by work.
  void Close();

 private:
  using Due = std::pair<Clock::time_point, uint64_t>;  // When, and in which order it was pushed.

  void Run();
  // REQUIRES: mutex_ is held, and the queue is not closed.
  void StartThread();

  const size_t threads_max_;
  std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  std::map<Due, Work> waiting_;
  uint64_t pushed_ = 0;
  size_t idle_ = 0;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace strata
