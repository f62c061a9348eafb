#include "common/http/connection_watch.h"

#include <sys/socket.h>

#include <algorithm>

namespace strata::http {

void WatchedConnection::Enter(Phase phase) {
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (phase == Phase::kHandling) {
    handling_since_ = now;
  } else if (phase == Phase::kBody && window_open_) {
    if (phase_ == Phase::kHandling) since_ += now - handling_since_;
  } else {
    window_open_ = phase == Phase::kBody;
    since_ = now;
    moved_bytes_ = 0;
  }
  phase_ = phase;
}

void WatchedConnection::Moved(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  moved_bytes_ += bytes;
}

void WatchedConnection::Cut() { ::shutdown(fd_.get(), SHUT_RDWR); }

bool WatchedConnection::InRequest() const {
  const std::lock_guard lock(mutex_);
  return phase_ == Phase::kBody || phase_ == Phase::kHandling;
}

void WatchedConnection::Check(const ServerLimits& limits, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const auto passed = now - since_;
  switch (phase_) {
    case Phase::kHandling:
      return;
    case Phase::kHead:
      if (passed > limits.head_max) Cut();
      return;
    case Phase::kIdle:
      if (passed > limits.idle_max) Cut();
      return;
    case Phase::kBody:
      if (passed < limits.window) return;
      if (moved_bytes_ < limits.window_bytes) Cut();
      since_ = now;
      moved_bytes_ = 0;
      return;
  }
}

ConnectionWatch::ConnectionWatch(const ServerLimits& limits)
    : limits_(limits), thread_([this](const std::stop_token& stop) { Run(stop); }) {}

void ConnectionWatch::Add(WatchedConnection* connection) {
  const std::lock_guard lock(mutex_);
  connections_.push_back(connection);
}

void ConnectionWatch::Remove(WatchedConnection* connection) {
  const std::lock_guard lock(mutex_);
  connections_.remove(connection);
}

bool ConnectionWatch::IsQuiet() const {
  return std::none_of(connections_.begin(), connections_.end(),
                      [](const WatchedConnection* one) { return one->InRequest(); });
}

void ConnectionWatch::AwaitQuiet(std::chrono::milliseconds grace) {
  const auto deadline = WatchedConnection::Clock::now() + grace;
  std::unique_lock lock(mutex_);
  // Nobody tells when a request ends: it is looked for every 20 ms.
  while (!IsQuiet() && WatchedConnection::Clock::now() < deadline) {
    wake_.wait_for(lock, std::chrono::milliseconds(20));
  }
}

void ConnectionWatch::CutAll() {
  const std::lock_guard lock(mutex_);
  for (WatchedConnection* connection : connections_) connection->Cut();
}

void ConnectionWatch::Run(const std::stop_token& stop) {
  // Short limits (of tests) are kept as they are.
  const auto tick = std::min({limits_.head_max, limits_.idle_max, limits_.window,
                              std::chrono::milliseconds(2000)}) /
                    2;
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    wake_.wait_for(lock, stop, tick, [] { return false; });
    const auto now = WatchedConnection::Clock::now();
    for (WatchedConnection* connection : connections_) connection->Check(limits_, now);
  }
}

}  // namespace strata::http
