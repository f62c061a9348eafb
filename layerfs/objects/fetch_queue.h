// FetchQueue: single flight for objects. However many ask for an object at once, the source is
// asked once, and all get the same answer. A request that comes after the answer asks again, so a
// failure is not remembered. When the last one that waits for an object leaves, its fetch is
// cancelled.
//
// Threads: as many as there are fetches, `threads_max` at most; they end with the queue. Each
// failure is one line of the log, whatever the number of those who waited.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "layerfs/objects/object_source.h"

namespace strata::layerfs {

class FetchQueue {
 public:
  using Ticket = uint64_t;
  // Called once, by a thread of the queue, without locks held, unless the waiter left before.
  using Done = std::function<void(const Status&)>;

  FetchQueue(ObjectSource& source, size_t threads_max)
      : source_(source), threads_max_(threads_max) {}
  // Cancels what runs and answers kCancelled to all who wait.
  ~FetchQueue();

  // Waits for the object. A flight that verifies serves those who only want it there; the other way
  // round it does not.
  Ticket Join(const Digest& digest, bool verify, Done done);
  // True: `done` was not called and never will be.
  bool Leave(Ticket ticket);

 private:
  struct Waiter {
    Ticket ticket;
    Done done;
  };
  struct Flight {
    Digest digest;
    bool verify = false;
    CancelToken cancel;
    std::vector<Waiter> waiters;
  };
  using FlightPtr = std::shared_ptr<Flight>;

  void Work();
  void Finish(const FlightPtr& flight, const Status& status);
  FlightPtr FindFlight(const Digest& digest, bool verify) const;

  ObjectSource& source_;
  const size_t threads_max_;
  std::mutex mutex_;  // Guards what follows; a leaf. `done` is called without it.
  std::condition_variable wake_;
  bool stopping_ = false;
  Ticket next_ticket_ = 1;
  size_t idle_ = 0;
  std::deque<FlightPtr> pending_;
  std::unordered_multimap<Digest, FlightPtr, DigestHash> flights_;  // Pending and running.
  std::unordered_map<Ticket, FlightPtr> tickets_;
  std::vector<std::thread> threads_;
};

}  // namespace strata::layerfs
