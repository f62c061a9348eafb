#include "migrate/diff_rounds.h"

#include "common/log.h"

namespace strata::migrate {
namespace {

using Clock = std::chrono::steady_clock;

// Thaws on every path out; ThawNow reports what Thaw says.
class ThawAtEnd {
 public:
  explicit ThawAtEnd(FreezableContainer& container) : container_(&container) {}
  ThawAtEnd(const ThawAtEnd&) = delete;
  ThawAtEnd& operator=(const ThawAtEnd&) = delete;
  ~ThawAtEnd() {
    if (container_ == nullptr) return;
    if (Status status = container_->Thaw(); !status.ok()) {
      LOG_ERROR("a container may still be frozen: " + status.error().message());
    }
  }
  Status ThawNow() { return std::exchange(container_, nullptr)->Thaw(); }

 private:
  FreezableContainer* container_;
};

Status FrozenRound(FreezableContainer& container, const Rounds& rounds,
                   std::chrono::nanoseconds* stall) {
  const auto start = Clock::now();
  // A Freeze that failed may have frozen part of the container.
  ThawAtEnd thaw(container);
  RETURN_IF_ERROR(container.Freeze(), "freeze");
  RETURN_IF_ERROR(rounds.second());
  RETURN_IF_ERROR(thaw.ThawNow(), "thaw");
  *stall = Clock::now() - start;
  return Ok();
}

}  // namespace

Result<RoundTimes> RunDiffRounds(FreezableContainer& container, bool running,
                                 const Rounds& rounds) {
  RoundTimes times;
  const auto start = Clock::now();
  RETURN_IF_ERROR(rounds.first());
  times.first = Clock::now() - start;
  RETURN_IF_ERROR(running ? FrozenRound(container, rounds, &times.stall) : rounds.second());
  return times;
}

}  // namespace strata::migrate
