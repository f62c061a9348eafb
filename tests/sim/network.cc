#include "tests/sim/network.h"

#include <algorithm>

namespace strata::sim {
namespace {

constexpr milliseconds kDelayMax(4);
constexpr size_t kWaitingMax = 200;

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
    std::vector<std::function<void()>>& waiting = cuts_.at({from, to}).waiting;
    if (waiting.size() < kWaitingMax && random_.OneIn(2)) waiting.push_back(arrive);
  });
}

void Network::Cut(const std::string& from, const std::string& to, milliseconds time) {
  Way& way = cuts_[{from, to}];
  way.end = std::max(way.end, events_.now() + time);
  events_.At(way.end, [this, from, to] {
    if (!IsCut(from, to)) Open({from, to});
  });
}

void Network::Open(const std::pair<std::string, std::string>& way) {
  auto cut = cuts_.extract(way);
  if (cut.empty()) return;
  for (std::function<void()>& arrive : cut.mapped().waiting) {
    events_.After(random_.Between(milliseconds(0), kDelayMax), std::move(arrive));
  }
}

void Network::Heal() {
  while (!cuts_.empty()) Open(std::pair(cuts_.begin()->first));
}

}  // namespace strata::sim
