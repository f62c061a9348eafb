// Network: what is between the processes of a simulation. A call is a request and its answer; both
// are late, lost, doubled or overtaken as the faults of the moment have it. What is cut off may be
// lost, or come when the cut has ended, as TCP has it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/result.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/random.h"

namespace strata::sim {

struct NetworkFaults {
  double lost = 0;
  double doubled = 0;
  double late = 0;  // By up to `late_max`, so that others overtake.
  milliseconds late_max{0};
};

class Network {
 public:
  Network(EventQueue& events, Random& random) : events_(events), random_(random) {}

  NetworkFaults faults;

  // From one to another nothing passes, for so long. Every direction is its own.
  void Cut(const std::string& from, const std::string& to, milliseconds time);
  // Now everything passes. What waited for the end of a cut comes.
  void Heal();
  bool IsCut(const std::string& from, const std::string& to) const {
    const auto cut = cuts_.find({from, to});
    return cut != cuts_.end() && events_.now() < cut->second.end;
  }

  // `handle` at the other side answers by its argument, at once or later; `done` has the first
  // answer, or kUnavailable after `deadline`. `done` is called once.
  template <typename Response>
  void Call(const std::string& from, const std::string& to, milliseconds deadline,
            std::function<void(std::function<void(Result<Response>)> answer)> handle,
            std::function<void(Result<Response>)> done) {
    auto waits = std::make_shared<bool>(true);
    const auto end = [waits, done = std::move(done)](Result<Response> response) {
      if (std::exchange(*waits, false)) done(std::move(response));
    };
    events_.After(deadline, [end, to] { end(Error(Code::kUnavailable, to + " does not answer")); });
    Send(from, to, [this, from, to, handle = std::move(handle), end] {
      handle([this, from, to, end](Result<Response> response) {
        Send(to, from, [end, response = std::move(response)] { end(response); });
      });
    });
  }

 private:
  void Send(const std::string& from, const std::string& to, std::function<void()> arrive);
  struct Way {
    Time end;
    std::vector<std::function<void()>> waiting;  // For that.
  };
  void Open(const std::pair<std::string, std::string>& way);
  void Deliver(const std::string& from, const std::string& to, std::function<void()> arrive);

  EventQueue& events_;
  Random& random_;
  std::map<std::pair<std::string, std::string>, Way> cuts_;
};

}  // namespace strata::sim
