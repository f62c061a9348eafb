// PollWindow: for how long a reader should look for its next request before it sleeps. Waking a
// thread on an idle core takes longer than most requests, so a client that asks again within
// microseconds is served without; the window follows what it does, as KVM's halt polling
// (Documentation/virt/kvm/halt-polling.rst): it grows while waits are short and closes after a long
// one. It also closes, for many waits, when the reader was held up while it looked: then others
// need the core. Not thread-safe.
#pragma once

#include <algorithm>
#include <chrono>

namespace strata::layerfs {

class PollWindow {
 public:
  using Duration = std::chrono::nanoseconds;
  static constexpr Duration kLongest{std::chrono::microseconds(50)};
  static constexpr Duration kFirst{std::chrono::microseconds(10)};
  // Two looks that are further apart: another thread had the core.
  static constexpr Duration kHeldUp{std::chrono::microseconds(200)};
  static constexpr unsigned kWaitsClosed = 2048;

  Duration length() const { return closed_for_ > 0 ? Duration(0) : length_; }

  // A wait begins.
  void Begin() { looked_ = Duration(0); }
  // Nothing was there when the wait had lasted for `waited`: look again, or sleep.
  bool LooksAgain(Duration waited) {
    if (length() > Duration(0) && waited - looked_ > kHeldUp) {
      length_ = Duration(0);
      closed_for_ = kWaitsClosed;
    }
    looked_ = waited;
    return waited < length();
  }
  // The wait, the looking included, took so long.
  void Waited(Duration wait) {
    if (closed_for_ > 0) {
      --closed_for_;
    } else if (wait > kLongest) {
      length_ = Duration(0);
    } else if (wait > length_) {
      length_ = std::clamp(length_ * 2, kFirst, kLongest);
    }
  }
 private:
  Duration length_{0};
  Duration looked_{0};  // When this wait's last look was.
  unsigned closed_for_ = 0;
};

}  // namespace strata::layerfs
