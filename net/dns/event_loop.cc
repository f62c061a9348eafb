#include "net/dns/event_loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>

namespace strata::net {

Result<EventLoop> EventLoop::Make() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return Errno("epoll");
  return EventLoop(std::move(epoll));
}

Result<EventLoop::Token> EventLoop::Watch(int fd, uint32_t events, std::function<void()> ready) {
  const Token token = ++last_;
  epoll_event event = {};
  event.events = events;
  event.data.u64 = token;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return Errno("epoll_ctl");
  ready_.emplace(token, std::make_shared<const std::function<void()>>(std::move(ready)));
  return token;
}

void EventLoop::Change(Token token, int fd, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = token;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::Forget(Token token, int fd) {
  if (ready_.erase(token) != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

EventLoop::Token EventLoop::At(Clock::time_point when, std::function<void()> due) {
  const Token token = ++last_;
  times_.emplace(token, when);
  due_.emplace(std::pair(when, token), std::move(due));
  return token;
}

void EventLoop::Cancel(Token token) {
  const auto found = times_.find(token);
  if (found == times_.end()) return;
  due_.erase({found->second, token});
  times_.erase(found);
}

int EventLoop::MillisecondsLeft() const {
  if (due_.empty()) return -1;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(due_.begin()->first.first - Clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60'000));
}

void EventLoop::Turn() {
  std::array<epoll_event, 64> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                 MillisecondsLeft());
  for (int i = 0; i < count; ++i) {
    // Whoever was called before may have ended it.
    const auto found = ready_.find(events[static_cast<size_t>(i)].data.u64);
    if (found == ready_.end()) continue;
    const auto ready = found->second;
    (*ready)();
  }
  const auto now = Clock::now();
  while (!due_.empty() && due_.begin()->first.first <= now) {
    const std::function<void()> due = std::move(due_.begin()->second);
    times_.erase(due_.begin()->first.second);
    due_.erase(due_.begin());
    due();
  }
}

}  // namespace strata::net
