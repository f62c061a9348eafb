#include "vclusterd/scheduler/explain.h"

#include <algorithm>
#include <map>
#include <string_view>

namespace strata::vcluster {
namespace {

std::string_view RankName(RankBy rank) {
  switch (rank) {
    case RankBy::kLeastRequested:
      return "to the least requested host";
    case RankBy::kPack:
      return "packed on few hosts";
    case RankBy::kSpread:
      return "spread over hosts";
  }
  return "";
}

std::string Joined(const std::vector<Refusal>& reasons) {
  std::string text;
  for (const Refusal& reason : reasons) text += (text.empty() ? "" : "; ") + reason.text;
  return text;
}

void AddLine(std::string* text, const std::string& host, size_t width, const std::string& what) {
  *text += "  " + host + std::string(width - host.size() + 2, ' ') + what + "\n";
}

// `list` as lines "  HOST  what", the hosts of a column as wide as the widest.
template <typename List, typename What>
void AddHosts(std::string* text, const List& list, size_t hosts_max, const What& what) {
  const size_t shown = std::min(list.size(), hosts_max);
  size_t width = 0;
  for (size_t i = 0; i < shown; ++i) width = std::max(width, list[i].host.size());
  for (size_t i = 0; i < shown; ++i) AddLine(text, list[i].host, width, what(list[i]));
  if (shown < list.size()) {
    *text += "  … and " + std::to_string(list.size() - shown) + " more\n";
  }
}

// How much of the node's largest want is missing on a host: 0 or less when it has the room.
double Shortage(const Amounts& wanted, const Amounts& room) {
  const auto part = [](int64_t want, int64_t have) {
    return want <= 0 ? 0.0 : static_cast<double>(want - have) / static_cast<double>(want);
  };
  return std::max({part(wanted.milli_cpus, room.milli_cpus),
                   part(wanted.memory_bytes, room.memory_bytes),
                   part(wanted.disk_bytes, room.disk_bytes)});
}

}  // namespace

Explanation Explain(const PlacementState& state, const Admission& admission) {
  const NodeDemand& demand = admission.demand();
  Explanation made;
  made.key = demand.key;
  made.name = demand.name;
  made.rank = demand.rank;
  made.amounts = admission.amounts();
  for (const HostSlot slot : state.order()) {
    const std::string& host = state.host(slot).offer.name;
    std::vector<Refusal> reasons = admission.Refusals(slot);
    if (reasons.empty()) {
      made.choices.push_back({host, Rate(state, admission, slot)});
    } else {
      made.refused.push_back({host, std::move(reasons)});
    }
  }
  // Stable: names decide between equals.
  std::stable_sort(made.choices.begin(), made.choices.end(),
                   [&](const HostChoice& a, const HostChoice& b) {
                     return Better(demand.rank, a.score, b.score);
                   });
  if (!made.choices.empty()) made.chosen = made.choices.front().host;
  return made;
}

Result<Explanation> ExplainNode(const PlacementState& state, NodeKey key) {
  if (state.FindNode(key) == nullptr) {
    return Error(Code::kNotFound, "there is no node " + std::to_string(key.vcluster) + "/" +
                                      std::to_string(key.node));
  }
  PlacementState without = state;
  const NodeEntry entry = without.Take(key);
  NodeDemand demand = *entry.demand;
  demand.load = entry.load;
  Explanation made = Explain(without, Admission(without, demand));
  made.stands_on = state.host(entry.slot).offer.name;
  return made;
}

std::string ExplanationText(const Explanation& explanation, size_t hosts_max) {
  std::string text = explanation.name + ": " +
                     AmountsText(explanation.amounts, explanation.amounts.disk_bytes > 0) + ", " +
                     std::string(RankName(explanation.rank)) + "\n";
  if (!explanation.stands_on.empty()) {
    text += "stands on " + explanation.stands_on + ", ";
    text += explanation.chosen == explanation.stands_on ? "and would be put there again\n"
            : explanation.chosen.empty()                ? "and no host would take it now\n"
                                         : "and would now go to " + explanation.chosen + "\n";
  } else {
    text +=
        explanation.chosen.empty() ? "no host takes it\n" : "goes to " + explanation.chosen + "\n";
  }
  for (const QuotaLine& line : explanation.quota) {
    text += "quota of " + QuotaText(line) + (line.Fits() ? "\n" : ": too much\n");
  }
  if (!explanation.choices.empty()) text += "hosts that can take it, best first:\n";
  AddHosts(&text, explanation.choices, hosts_max,
           [&](const HostChoice& choice) { return ScoreText(explanation.rank, choice.score); });
  if (!explanation.refused.empty()) text += "hosts that cannot:\n";
  AddHosts(&text, explanation.refused, hosts_max,
           [](const HostRefusal& refusal) { return Joined(refusal.reasons); });
  return text;
}

Error NoHostError(const PlacementState& state, const Admission& admission) {
  const Amounts& wanted = admission.amounts();
  const bool disk = wanted.disk_bytes > 0;
  std::string text = admission.demand().name + " needs " + AmountsText(wanted, disk) + ": ";
  if (state.order().empty()) {
    return Error(Code::kResourceExhausted, text + "there are no hosts. Add one");
  }
  std::optional<HostSlot> nearest;  // Of those where only room is missing.
  double nearest_shortage = 0;
  std::string nearest_reasons;
  std::map<std::string, size_t> others;  // What the other hosts say, and how many.
  for (const HostSlot slot : state.order()) {
    const std::vector<Refusal> reasons = admission.Refusals(slot);
    const auto other = std::find_if(reasons.begin(), reasons.end(),
                                    [](const Refusal& r) { return !IsRoom(r.kind); });
    if (other != reasons.end()) {
      ++others[other->text];
      continue;
    }
    const double shortage = Shortage(wanted, admission.RoomOn(slot));
    if (nearest && shortage >= nearest_shortage) continue;
    nearest = slot;
    nearest_shortage = shortage;
    nearest_reasons = Joined(reasons);
  }
  std::string excluded;
  constexpr size_t kReasonsShown = 3;
  size_t shown = 0;
  for (const auto& [reason, count] : others) {
    if (++shown > kReasonsShown) break;
    excluded += (excluded.empty() ? "" : "; ") + std::to_string(count) +
                (count == 1 ? " host: " : " hosts: ") + reason;
  }
  if (others.size() > kReasonsShown) excluded += "; …";
  if (!nearest) {
    return Error(Code::kResourceExhausted, text + "no host may take it (" + excluded +
                                               "). Change what it asks of its host, or add one");
  }
  text += "no host has room. The most room is on " + state.host(*nearest).offer.name + ": " +
          AmountsText(admission.RoomOn(*nearest), disk) + " (" + nearest_reasons + ")";
  if (!excluded.empty()) text += "; others: " + excluded;
  return Error(Code::kResourceExhausted, text + ". Ask for less, stop other nodes, or add a host");
}

}  // namespace strata::vcluster
