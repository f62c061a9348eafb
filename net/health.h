// Which targets of balanced forwards take connections of TCP. A new one is taken for up; `fall`
// failures in a row make it down, `rise` successes up again.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "net/desired.h"

namespace strata::net {

using TargetAddress = std::pair<Ipv4, uint16_t>;

struct HealthOptions {
  std::chrono::milliseconds interval{2000};  // From the end of a check to the next.
  std::chrono::milliseconds timeout{1000};   // Of a connection.
  int rise = 2;
  int fall = 3;
};

// What is checked when, and what follows from it. Pure: it is told the time.
class TargetHealth {
 public:
  using Clock = std::chrono::steady_clock;

  explicit TargetHealth(HealthOptions options) : options_(options) {}
  // From now on these. Those that stay keep what is known of them; new ones are due.
  void Watch(const std::set<TargetAddress>& targets, Clock::time_point now);
  // Up to `most` to check now; each is under check until it is noted.
  std::vector<TargetAddress> Start(Clock::time_point now, size_t most);
  // The end of a check; of one that is watched no more: nothing. True: it is up or down now and was
  // not before.
  bool Note(const TargetAddress& target, bool took, Clock::time_point now);
  // The end of a check that could not be made.
  void NoteNothing(const TargetAddress& target, Clock::time_point now);
  // When the next is due; far away when none is.
  Clock::time_point Next() const;
  std::set<TargetAddress> Down() const;

 private:
  struct State {
    bool up = true;
    int against = 0;  // Checks in a row that say otherwise.
    bool under_check = false;
    Clock::time_point due;
  };
  const HealthOptions options_;
  std::map<TargetAddress, State> states_;
};

// Checks, with a thread of its own, in the network namespace of the thread that opens it.
// Thread-safe.
class HealthChecker {
 public:
  // `changed` is called when another set of targets is down, by its thread; it must not wait for a
  // call of this object.
  static Result<std::unique_ptr<HealthChecker>> Open(HealthOptions options,
                                                     std::function<void()> changed);
  ~HealthChecker();
  void Watch(const std::set<TargetAddress>& targets);
  std::set<TargetAddress> Down() const;

 private:
  struct Check {
    TargetAddress target;
    UniqueFd fd;
    TargetHealth::Clock::time_point until;
  };
  HealthChecker(HealthOptions options, std::function<void()> changed)
      : options_(options), changed_(std::move(changed)), health_(options) {}
  void Run();
  void Begin(std::vector<Check>* checks);
  // Those that have ended go from `checks`. True: somebody is up or down now and was not before.
  bool End(std::vector<Check>* checks);
  void Wait(const std::vector<Check>& checks) const;
  void Wake() const;

  const HealthOptions options_;
  const std::function<void()> changed_;
  UniqueFd wake_;
  mutable std::mutex mutex_;  // Guards what follows.
  TargetHealth health_;
  bool stop_ = false;
  std::thread thread_;
};

// Of balanced forwards of TCP.
std::set<TargetAddress> TargetsOf(const DesiredNetwork& desired);
// Sets Target::up of all of them.
void MarkDown(const std::set<TargetAddress>& down, DesiredNetwork* desired);

}  // namespace strata::net
