#include "net/service/network_events.h"

#include <algorithm>

namespace strata::net {
namespace {

constexpr size_t kEventsMax = 256;

}  // namespace

void NetworkEvents::Add(const NetworkKeeper::Event& event) {
  {
    const std::lock_guard lock(mutex_);
    events_.push_back(event);
    if (events_.size() > kEventsMax) events_.pop_front();
    ++count_;
  }
  added_.notify_all();
}

uint64_t NetworkEvents::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

std::vector<NetworkKeeper::Event> NetworkEvents::After(uint64_t* seen,
                                                       std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  added_.wait_for(lock, wait, [&] { return count_ > *seen; });
  const uint64_t missed = count_ - std::min(*seen, count_);
  const size_t take = std::min<uint64_t>(missed, events_.size());
  *seen = count_;
  return {events_.end() - static_cast<std::ptrdiff_t>(take), events_.end()};
}

}  // namespace strata::net
