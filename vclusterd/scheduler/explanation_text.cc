#include <algorithm>
#include <string_view>

#include "vclusterd/scheduler/explain.h"

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

}  // namespace

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
    const bool past_quota = std::any_of(explanation.quota.begin(), explanation.quota.end(),
                                        [](const QuotaLine& line) { return !line.Fits(); });
    text += past_quota                   ? "not placed: past a quota\n"
            : explanation.chosen.empty() ? "no host takes it\n"
                                         : "goes to " + explanation.chosen + "\n";
  }
  for (const QuotaLine& line : explanation.quota) {
    text += "quota of " + QuotaText(line) + (line.Fits() ? "\n" : ": too much\n");
  }
  if (!explanation.choices.empty()) text += "hosts that can take it, best first:\n";
  AddHosts(&text, explanation.choices, hosts_max,
           [&](const HostChoice& choice) { return ScoreText(explanation.rank, choice.score); });
  if (!explanation.refused.empty()) text += "hosts that cannot:\n";
  AddHosts(&text, explanation.refused, hosts_max,
           [](const HostRefusal& refusal) { return ReasonsText(refusal.reasons); });
  return text;
}

}  // namespace strata::vcluster
