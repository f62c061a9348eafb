#include "tests/sim/network.h"

namespace strata::sim {
namespace {

constexpr milliseconds kDelayMax(4);
constexpr size_t kWaitingMax = 2000;

}  // namespace

void Network::Send(const std::string& from, const std::string& to, std::function<void()> arrive) {
  if (random_.Chance(faults.lost)) return;
  if (random_.Chance(faults.doubled)) Deliver(from, to, arrive);
  Deliver(from, to, std::move(arrive));
}

void Network::Deliver(const std::string& from, const std::string& to,
                      std::function<void()> arrive) {
  milliseconds delay = random_.Between(milliseconds(0), kDelayMax);
  if (random_.Chance(faults.late)) delay += random_.Between(milliseconds(0), faults.late_max);
  events_.After(delay, [this, from, to, arrive = std::move(arrive)] {
    if (!IsCut(from, to)) return arrive();
    if (waiting_.size() < kWaitingMax && random_.OneIn(2)) waiting_.push_back(arrive);
  });
}

void Network::Heal() {
  cuts_.clear();
  for (std::function<void()>& arrive : std::exchange(waiting_, {})) {
    events_.After(random_.Between(milliseconds(0), kDelayMax), std::move(arrive));
  }
}

}  // namespace strata::sim
