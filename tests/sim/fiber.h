// Fiber: a caller that waits without holding the simulation up. Its function runs on a thread, but
// only while somebody is in Resume: so of all threads one runs at a time, in an order that the
// simulation gives.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace strata::sim {

class Fiber {
 public:
  explicit Fiber(std::function<void()> work) : work_(std::move(work)) {}
  // REQUIRES: it has ended, or was never resumed.
  ~Fiber() {
    if (thread_.joinable()) thread_.join();
  }

  // Runs it until it waits or ends. False: it has ended.
  bool Resume();
  // Called by the function: ends this Resume. On any other thread nothing happens.
  static void Wait();

  bool ended() const { return ended_; }

 private:
  enum class Turn { kCaller, kFiber };
  void AwaitTurn(Turn turn);
  void GiveTurn(Turn turn);

  const std::function<void()> work_;
  std::mutex mutex_;  // Guards turn_.
  std::condition_variable changed_;
  Turn turn_ = Turn::kCaller;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace strata::sim
