#include "vclusterd/scheduler/target_counts.h"

#include <algorithm>

namespace strata::vcluster {
namespace {

auto Place(auto& hosts, HostSlot slot) {
  return std::lower_bound(hosts.begin(), hosts.end(), slot,
                          [](const auto& entry, HostSlot wanted) { return entry.first < wanted; });
}

}  // namespace

void TargetCounts::Change(const AffinityTarget& target, HostSlot slot, int by) {
  OnHosts& hosts = counts_[target];
  auto at = Place(hosts, slot);
  if (at == hosts.end() || at->first != slot) at = hosts.insert(at, {slot, 0});
  at->second += static_cast<uint32_t>(by);
  if (at->second == 0) hosts.erase(at);
  if (hosts.empty()) counts_.erase(target);
}

const TargetCounts::OnHosts& TargetCounts::Of(const AffinityTarget& target) const {
  static const OnHosts kNowhere;
  const auto found = counts_.find(target);
  return found == counts_.end() ? kNowhere : found->second;
}

uint32_t TargetCounts::At(const AffinityTarget& target, HostSlot slot) const {
  const OnHosts& hosts = Of(target);
  const auto at = Place(hosts, slot);
  return at == hosts.end() || at->first != slot ? 0 : at->second;
}

}  // namespace strata::vcluster
