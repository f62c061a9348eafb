// Leadership: which thread of a FUSE server reads the next request (the Leader/Followers pattern,
// Schmidt et al., POSA 2).
//
// /dev/fuse wakes the reader that has waited longest. With several readers each request of one
// client is served by another thread, on another core, with cold caches. So one thread, the
// leader, reads and serves, and the others, the followers, wait here. No request waits long for
// another:
//
//  - a handler that is about to wait for a disk or a network gives the lead away (StandAside);
//  - while requests come, a follower looks every 2 ms (kPatience) whether the leader is still with
//    the same request, and takes the lead if so;
//  - when requests queue up, the leader calls helpers, which read until nothing is left.
//
// A server without requests has no thread that wakes up.
//
//   Leadership::Turn turn;
//   while (leadership.Take(&turn)) {
//     do {
//       …read a request: turn.leads() waits for one, a helper leaves when there is none…
//       leadership.Begin(&turn, it was there at once);
//       …serve…
//     } while (leadership.Finish(&turn));
//   }
//
// Thread-safe; each thread has a Turn of its own.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace strata::layerfs {

class Leadership {
 public:
  static constexpr std::chrono::milliseconds kPatience{2};

  class Turn {
   public:
    bool leads() const { return held_ != 0; }

   private:
    friend class Leadership;
    uint64_t held_ = 0;  // What lead_ is while this thread leads; 0: it does not.
    bool helps_ = false;
    unsigned at_once_ = 0;  // Requests in a row that were waiting already.
  };

  // `threads` call Take.
  explicit Leadership(unsigned threads, std::chrono::milliseconds patience = kPatience)
      : threads_(threads), patience_(patience) {}
  Leadership(const Leadership&) = delete;

  // Waits until this thread is to read, as the leader or a helper. False: End was called.
  bool Take(Turn* turn);
  // A request has been read. `at_once`: it was waiting already.
  void Begin(Turn* turn, bool at_once);
  // The request of this turn is about to wait: another thread reads meanwhile.
  void StandAside(Turn* turn);
  // The request has been served. True: read on; false: take another turn.
  bool Finish(Turn* turn) { return turn->helps_ || KeepLead(turn); }
  // Take answers false from now on.
  void End();

 private:
  // So many requests that were waiting already are a queue. One client alone makes short ones: it
  // does not wait for the answers to RELEASE and FORGET.
  static constexpr unsigned kQueue = 16;

  bool KeepLead(Turn* turn);
  void CallHelper();
  void CallWatcher();
  bool HasWork() const { return ended_ || vacant_ || helpers_called_ > 0; }
  // True: this thread leads now.
  bool Watch(Turn* turn, std::unique_lock<std::mutex>& lock);

  const unsigned threads_;
  const std::chrono::milliseconds patience_;

  // Moves by one with every step of the leader: odd while it is with a request. Whoever moves it
  // away from another thread's Turn::held_ has taken the lead from it.
  std::atomic<uint64_t> lead_{2};
  // No follower watches the leader, or is about to: the next request's leader must call one.
  std::atomic<bool> unwatched_{true};

  std::mutex mutex_;  // Guards what follows; a leaf.
  std::condition_variable wake_;
  bool vacant_ = true;  // Nobody leads: the next thread that comes does.
  bool ended_ = false;
  bool watcher_called_ = false;
  unsigned followers_ = 0;       // Threads in Take.
  unsigned helpers_called_ = 0;  // And have not come yet.
};

}  // namespace strata::layerfs
