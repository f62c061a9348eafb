// EventLoop: waits for descriptors and times, and calls who waits for them. Of one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>

#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::net {

class EventLoop {
 public:
  using Clock = std::chrono::steady_clock;
  using Token = uint64_t;  // Of what is waited for; never used again, and never 0.

  static Result<EventLoop> Make();

  // Calls `ready` whenever the descriptor is, until Forget. REQUIRES: it is open until then.
  // `events`: EPOLLIN and the like. kInternal: the kernel has no room.
  Result<Token> Watch(int fd, uint32_t events, std::function<void()> ready);
  void Change(Token token, int fd, uint32_t events);
  void Forget(Token token, int fd);  // Of 0: nothing.

  // Calls `due` once.
  Token At(Clock::time_point when, std::function<void()> due);
  void Cancel(Token token);

  // Waits for the next, and calls what is ready and due. Descriptors come in turns.
  void Turn();

 private:
  explicit EventLoop(UniqueFd epoll) : epoll_(std::move(epoll)) {}
  int MillisecondsLeft() const;

  UniqueFd epoll_;
  Token last_ = 0;
  std::unordered_map<Token, std::shared_ptr<const std::function<void()>>> ready_;
  std::map<std::pair<Clock::time_point, Token>, std::function<void()>> due_;
  std::unordered_map<Token, Clock::time_point> times_;
};

}  // namespace strata::net
