// Ctrl-C (SIGINT), SIGTERM and SIGHUP as a call to a function, so that a gRPC call can be cancelled
// and a terminal restored instead of the process just dying.
//
//   BlockInterrupts();                          // First thing in main, before any thread.
//   grpc::ClientContext context;
//   InterruptWatcher watcher([&] { context.TryCancel(); });
//
// A second signal while the first is being handled ends the process at once, with `on_second` run
// before (restoring a terminal).
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "common/unique_fd.h"

namespace strata::tools {

// Also blocks SIGWINCH, for those who read it from a signalfd.
void BlockInterrupts();

class InterruptWatcher {
 public:
  // `on_interrupt` runs on the watcher's thread, at most once. REQUIRES: BlockInterrupts() was
  // called before any thread started.
  explicit InterruptWatcher(std::function<void()> on_interrupt,
                            std::function<void()> on_second = nullptr);
  ~InterruptWatcher();
  InterruptWatcher(const InterruptWatcher&) = delete;
  InterruptWatcher& operator=(const InterruptWatcher&) = delete;

  bool interrupted() const { return interrupted_.load(); }

 private:
  void Watch();

  std::function<void()> on_interrupt_;
  std::function<void()> on_second_;
  UniqueFd signal_fd_;
  UniqueFd stop_fd_;  // eventfd: written by the destructor.
  std::atomic<bool> interrupted_{false};
  std::thread thread_;
};

}  // namespace strata::tools
