// EventQueue: the time of a simulation. What happens is a function at a time; at one time, in the
// order in which it was asked for. Single-threaded.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <utility>

namespace strata::sim {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using Duration = Clock::duration;
using std::chrono::milliseconds;
using std::chrono::seconds;

class EventQueue {
 public:
  Time now() const { return now_; }
  void At(Time time, std::function<void()> what) {
    events_.emplace(std::pair(std::max(time, now_), ++asked_), std::move(what));
  }
  void After(Duration delay, std::function<void()> what) { At(now_ + delay, std::move(what)); }

  // Has everything happen up to `end`, or until `stop` says so.
  void RunUntil(Time end, const std::function<bool()>& stop) {
    while (!stop() && !events_.empty() && events_.begin()->first.first <= end) {
      auto event = events_.extract(events_.begin());
      now_ = event.key().first;
      ++happened_;
      event.mapped()();
    }
    if (!stop()) now_ = std::max(now_, end);
  }
  uint64_t happened() const { return happened_; }

 private:
  // Not the clock's zero: there is a time before the first event.
  Time now_{std::chrono::hours(1000)};
  uint64_t asked_ = 0;
  uint64_t happened_ = 0;
  std::map<std::pair<Time, uint64_t>, std::function<void()>> events_;
};

}  // namespace strata::sim
