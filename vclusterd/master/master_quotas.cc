// What owners may have (quota_demand.h), held against what is to be stored.
#include "vclusterd/master/master.h"

namespace strata::vcluster {

Status Master::CheckQuotas(const std::vector<VclusterPtr>& changed) const {
  if (!options_.check_quota) return Ok();
  std::map<uint32_t, QuotaDemand> asked;  // By owner.
  for (const VclusterPtr& vcluster : changed) {
    const auto before = entries_.find(vcluster->record.number());
    asked[vcluster->record.owner_uid()] +=
        GrowthOf(before == entries_.end() ? nullptr : before->second.vcluster.get(), *vcluster);
  }
  std::optional<std::map<uint32_t, QuotaAmounts>> used;  // Of all, once somebody asks.
  const QuotasUsed used_by = [&](uint32_t uid) {
    if (!used.has_value()) {
      used.emplace();
      for (const auto& [number, entry] : entries_) {
        (*used)[entry.vcluster->record.owner_uid()] += DemandOf(*entry.vcluster).amounts;
      }
    }
    return (*used)[uid];
  };
  for (const auto& [uid, demand] : asked) {
    if (demand.IsNothing()) continue;
    RETURN_IF_ERROR(options_.check_quota(uid, demand, used_by));
    // What the next ones of this batch ask for comes on top of it: a group's limit counts them all.
    used_by(uid);
    (*used)[uid] += demand.amounts;
  }
  return Ok();
}

}  // namespace strata::vcluster
