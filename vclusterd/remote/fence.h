// Fence: pauses nodes that may be made anew elsewhere when this host has heard no master for a
// while. The time counts from when the last report that was taken had been begun, so it is over
// here before it can be over at the master (MasterOptions::recreate_after).
//
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

namespace strata::vcluster {

class Fence {
 public:
  using Clock = std::chrono::steady_clock;

  // `pause` on a thread of this, once per silence.
  Fence(std::chrono::milliseconds after, std::function<void()> pause)
      : after_(after),
        pause_(std::move(pause)),
        thread_([this](const std::stop_token& stop) { Run(stop); }) {}
  ~Fence() {
    thread_.request_stop();
    thread_.join();
  }

  // A master has taken what this host began to say then.
  void Heard(Clock::time_point begun) {
    const std::lock_guard lock(mutex_);
    heard_ = std::max(heard_, begun);
    paused_ = false;
    wake_.notify_all();
  }

 private:
  void Run(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
      const auto due = heard_ + after_;
      if (!paused_ && Clock::now() >= due) {
        paused_ = true;
        lock.unlock();
        pause_();
        lock.lock();
        continue;
      }
      if (paused_) {
        wake_.wait(lock, stop, [&] { return !paused_; });
      } else {
        wake_.wait_until(lock, stop, due, [&] { return heard_ + after_ != due; });
      }
    }
  }

  const std::chrono::milliseconds after_;
  const std::function<void()> pause_;
  std::mutex mutex_;  // Guards what follows.
  std::condition_variable_any wake_;
  Clock::time_point heard_ = Clock::now();
  bool paused_ = false;
  std::jthread thread_;  // Last.
};

}  // namespace strata::vcluster
