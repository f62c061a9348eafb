// ConnectionWatch: cuts the connections of a server off that make a head, a body or nothing too
// slowly. One thread looks once a second.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>
#include <stop_token>
#include <thread>

#include "common/http/server.h"
#include "common/unique_fd.h"

namespace strata::http {

enum class Phase {
  kHead,      // Waits for a head.
  kIdle,      // The same, after an answer.
  kBody,      // Waits for the client, in either direction.
  kHandling,  // The client waits for us.
};

// One connection, as the watch sees it.
class WatchedConnection {
 public:
  using Clock = std::chrono::steady_clock;

  // `fd`: a duplicate, so that its number stays ours until the end.
  explicit WatchedConnection(UniqueFd fd) : fd_(std::move(fd)) {}

  void Enter(Phase phase);
  // Bytes went to or came from the client.
  void Moved(uint64_t bytes);
  void Cut();
  bool InRequest() const;
  // Cuts it when it is too slow.
  void Check(const ServerLimits& limits, Clock::time_point now);

 private:
  const UniqueFd fd_;
  mutable std::mutex mutex_;  // Guards the rest.
  Phase phase_ = Phase::kHead;
  // Of the phase; within a request, of the window, without the time that we took.
  Clock::time_point since_ = Clock::now();
  Clock::time_point handling_since_;
  bool window_open_ = false;
  uint64_t moved_bytes_ = 0;  // In the window.
};

class ConnectionWatch {
 public:
  explicit ConnectionWatch(const ServerLimits& limits);

  void Add(WatchedConnection* connection);
  void Remove(WatchedConnection* connection);
  // Until no connection is within a request, `grace` at most.
  void AwaitQuiet(std::chrono::milliseconds grace);
  void CutAll();

 private:
  void Run(const std::stop_token& stop);
  bool IsQuiet() const;

  const ServerLimits limits_;
  mutable std::mutex mutex_;  // Guards connections_.
  std::condition_variable_any wake_;
  std::list<WatchedConnection*> connections_;
  std::jthread thread_;  // Last: it uses all of the above.
};

}  // namespace strata::http
