#include "vclusterd/master/credit_meter.h"

#include <algorithm>

#include "vclusterd/users/unix_clock.h"

namespace strata::vcluster {

void CreditMeter::Add(uint32_t uid, const UseRate& rate, int64_t from_ms, int64_t to_ms) {
  if (rate.nodes == 0) return;
  while (from_ms < to_ms) {
    const int64_t hour = HourOf(from_ms);
    const int64_t end_ms = std::min(to_ms, (hour + 1) * kHourMs);
    const auto part_ms = static_cast<uint64_t>(end_ms - from_ms);
    Use& use = hours_[hour][uid];
    use.cpu_milli_ms += rate.cpus_milli * part_ms;
    use.memory_mib_ms += rate.memory_mib * part_ms;
    use.node_ms += rate.nodes * part_ms;
    from_ms = end_ms;
  }
  while (hours_.size() > kMeteredHoursMax) hours_.erase(hours_.begin());
}

std::vector<CreditMeter::Due> CreditMeter::Ended(int64_t now_ms) const {
  std::vector<Due> ended;
  for (const auto& [hour, uses] : hours_) {
    if (hour >= HourOf(now_ms)) break;
    for (const auto& [uid, use] : uses) {
      ended.push_back(
          {hour,
           uid,
           {use.cpu_milli_ms / kSecondMs, use.memory_mib_ms / kSecondMs, use.node_ms / kSecondMs}});
    }
  }
  return ended;
}

void CreditMeter::Drop(int64_t hour, uint32_t uid) {
  const auto found = hours_.find(hour);
  if (found == hours_.end()) return;
  found->second.erase(uid);
  if (found->second.empty()) hours_.erase(found);
}

void CreditMeter::ToProto(master::v1::CreditMeter* record) const {
  record->clear_hours();
  for (const auto& [hour, uses] : hours_) {
    master::v1::CreditMeter::Hour* out = record->add_hours();
    out->set_hour(hour);
    for (const auto& [uid, use] : uses) {
      master::v1::CreditMeter::Use* of_user = out->add_uses();
      of_user->set_uid(uid);
      of_user->set_cpu_milli_ms(use.cpu_milli_ms);
      of_user->set_memory_mib_ms(use.memory_mib_ms);
      of_user->set_node_ms(use.node_ms);
    }
  }
}

void CreditMeter::FromProto(const master::v1::CreditMeter& record, int64_t now_ms) {
  hours_.clear();
  for (const master::v1::CreditMeter::Hour& hour : record.hours()) {
    if (hour.hour() > HourOf(now_ms)) continue;
    for (const master::v1::CreditMeter::Use& use : hour.uses()) {
      hours_[hour.hour()][use.uid()] = {use.cpu_milli_ms(), use.memory_mib_ms(), use.node_ms()};
    }
  }
  while (hours_.size() > kMeteredHoursMax) hours_.erase(hours_.begin());
}

}  // namespace strata::vcluster
