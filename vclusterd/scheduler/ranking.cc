#include "vclusterd/scheduler/ranking.h"

#include <algorithm>
#include <tuple>

namespace strata::vcluster {
namespace {

double Ratio(int64_t part, int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

uint32_t PressedResources(const HostReport& report, const SchedulerParameters& parameters) {
  uint32_t count = 0;
  for (const auto level : {&ResourceLevels::cpu, &ResourceLevels::memory, &ResourceLevels::io}) {
    if (report.pressure.*level >= parameters.pressure_high ||
        report.usage.*level >= parameters.usage_high) {
      ++count;
    }
  }
  return count;
}

Score Rate(const PlacementState& state, const Admission& admission, HostSlot slot) {
  const HostTally& host = state.host(slot);
  const Amounts& amounts = admission.amounts();
  const LoadClass load = admission.demand().load;
  Score score;
  if (load.memory) score.memory_neighbours = host.memory_heavy;
  score.pressed = PressedResources(host.offer.report, state.parameters());
  score.rule_balance = admission.RuleBalance(slot);
  score.preferred = admission.Prefers(slot);
  score.own_nodes = admission.OwnNodes(slot);
  score.same_role = admission.SameRole(slot);
  score.like_neighbours = (load.cpu ? host.cpu_heavy : 0) + (load.io ? host.io_heavy : 0);
  const Amounts room = admission.RoomOn(slot);
  score.v = std::min(Ratio(room.milli_cpus, amounts.milli_cpus),
                     Ratio(room.memory_bytes, amounts.memory_bytes));
  // Nothing is admitted to a host without CPUs or memory, so neither capacity is 0.
  score.rate =
      Ratio(host.requested.milli_cpus + amounts.milli_cpus, host.capacity.milli_cpus) +
      Ratio(host.requested.memory_bytes + amounts.memory_bytes, host.capacity.memory_bytes);
  return score;
}

bool Better(RankBy rank, const Score& a, const Score& b) {
  // What is better when it is more is taken from the other one.
  const auto common = [](const Score& less, const Score& more) {
    return std::tuple(less.memory_neighbours, less.pressed, more.rule_balance, more.preferred);
  };
  const auto left = common(a, b);
  const auto right = common(b, a);
  if (left != right) return left < right;
  switch (rank) {
    case RankBy::kPack:
      return std::tuple(b.own_nodes, a.like_neighbours, b.v) <
             std::tuple(a.own_nodes, b.like_neighbours, a.v);
    case RankBy::kLeastRequested:
      return std::tuple(a.like_neighbours, a.rate) < std::tuple(b.like_neighbours, b.rate);
    case RankBy::kSpread:
      return std::tuple(a.same_role, a.like_neighbours, a.rate) <
             std::tuple(b.same_role, b.like_neighbours, b.rate);
  }
  return false;
}

std::string ScoreText(RankBy rank, const Score& score) {
  std::string text;
  const auto add = [&text](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
  const auto number = [](auto value) { return std::to_string(value); };
  if (score.memory_neighbours > 0) {
    add(number(score.memory_neighbours) + " memory-heavy beside it");
  }
  if (score.pressed > 0) add("under pressure: " + number(score.pressed));
  if (score.rule_balance != 0) {
    add((score.rule_balance > 0 ? "wishes kept: +" : "wishes broken: ") +
        number(score.rule_balance));
  }
  if (score.preferred) add("preferred");
  if (rank == RankBy::kPack) add("holds " + number(score.own_nodes) + " of its Vcluster");
  if (rank == RankBy::kSpread) add("holds " + number(score.same_role) + " of its role");
  if (score.like_neighbours > 0) add(number(score.like_neighbours) + " with the same load");
  add(rank == RankBy::kPack ? "v " + DecimalText(score.v) : "rate " + DecimalText(score.rate));
  return text;
}

}  // namespace strata::vcluster
