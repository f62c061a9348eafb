// Obedience: whose orders a worker follows, and when its fenced nodes must not run.
//
// Of the hosts that may be masters the one who said the latest epoch counts; of his orders those
// that answer the last hello (or one that is under way). So an order that was late in the network
// while this host was silent is refused: what it orders may be elsewhere by now.
//
// Time counts from when the last thing that a leader took had been begun, so it is over here before
// it can be over at the master (MasterOptions::recreate_after). Silence ends with a hello that was
// begun after it: the master then knows that this host is there, and says anew what it should have.
//
// Thread-safe. Lock order: obeying_, mutex_.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <stop_token>
#include <string>

#include "common/result.h"

namespace strata::vcluster {

class Obedience {
 public:
  using Clock = std::chrono::steady_clock;
  // As long as it is held, silence does not begin.
  using Permit = std::shared_lock<std::shared_mutex>;

  struct Options {
    std::set<std::string> masters;
    std::chrono::milliseconds fence_after{30'000};
    // When the last process of this worker was heard by a master; absent: it is not known, so this
    // one begins in silence.
    std::optional<Clock::time_point> heard;
    std::function<Clock::time_point()> now = [] { return Clock::now(); };
    // Greater than all that an earlier process of this host has begun.
    uint64_t first_hello = NewNumber();
    // Keeps `heard` for the next process; called with locks held.
    std::function<void(Clock::time_point heard)> keep = [](Clock::time_point) {};
  };
  // Microseconds of the day's clock.
  static uint64_t NewNumber();
  explicit Obedience(Options options);

  bool IsMaster(const std::string& host) const { return options_.masters.contains(host); }
  // kPermissionDenied: `host` is no master. kFailedPrecondition: there is a later one.
  Status CheckMaster(const std::string& host, uint64_t epoch);
  // The same for orders, and `hello` must be one that still counts: kUnavailable.
  Result<Permit> CheckOrder(const std::string& host, uint64_t epoch, uint64_t hello);

  // The number of a hello that begins.
  uint64_t BeginHello(Clock::time_point begun);
  // The leader has answered it. False: silence began meanwhile, and it does not count.
  bool HelloTaken(uint64_t hello);
  // A report was taken.
  void ReportTaken(Clock::time_point begun);

  bool IsSilent() const;
  // From when on this host is silent, if nothing is taken before.
  Clock::time_point SilentFrom() const;
  // Whether silence has begun by `now`: then fenced nodes have to be paused. No order that answers
  // an earlier hello is being followed when it returns, nor will be.
  bool FallSilent(Clock::time_point now);
  // Waits until SilentFrom may be over.
  void AwaitSilence(const std::stop_token& stop);

 private:
  void Take(Clock::time_point begun);  // REQUIRES: mutex_ is held.

  const Options options_;
  std::shared_mutex obeying_;
  mutable std::mutex mutex_;  // Guards what follows.
  std::condition_variable_any changed_;
  uint64_t epoch_ = 0;
  uint64_t first_hello_;  // That counts.
  uint64_t last_hello_;   // Begun.
  Clock::time_point last_hello_begun_;
  std::map<uint64_t, Clock::time_point> begun_;  // When hellos that count were begun.
  Clock::time_point heard_;
  bool silent_ = false;
};

}  // namespace strata::vcluster
