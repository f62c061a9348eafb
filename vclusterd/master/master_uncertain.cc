// After a commit of which it is not known whether it was made.
#include "common/log.h"
#include "vclusterd/master/master.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {
namespace {

constexpr std::chrono::seconds kTryPause(1);

}  // namespace

Status Master::ReadUncertain() {
  if (!IsUncertain()) return Ok();
  next_try_ = options_.steady_now() + kTryPause;
  // What is read after a commit is at least as new as that.
  RETURN_IF_ERROR(lead_->Pass());
  while (!uncertain_.empty()) {
    RETURN_IF_ERROR(ReadAgain(*uncertain_.begin()));
    uncertain_.erase(uncertain_.begin());
  }
  while (!uncertain_hosts_.empty()) {
    RETURN_IF_ERROR(ReadHostAgain(*uncertain_hosts_.begin()));
    uncertain_hosts_.erase(uncertain_hosts_.begin());
  }
  while (!uncertain_jobs_.empty()) {
    RETURN_IF_ERROR(ReadJobAgain(*uncertain_jobs_.begin()));
    uncertain_jobs_.erase(uncertain_jobs_.begin());
  }
  if (uncertain_reservations_) RETURN_IF_ERROR(LoadReservations());
  uncertain_reservations_ = false;
  return Ok();
}

Status Master::ReadAgain(uint32_t number) {
  ASSIGN_OR_RETURN(const auto value, store_.Get(kVclustersTable, VclusterKey(number)));
  if (!value.has_value()) {
    if (entries_.contains(number)) Forget(number);
    return Ok();
  }
  ASSIGN_OR_RETURN(VclusterPtr vcluster, ParseVcluster(*value));
  Hold(std::move(vcluster));
  Touch(number);
  return Ok();
}

Status Master::ReadHostAgain(const std::string& name) {
  ASSIGN_OR_RETURN(const auto value, store_.Get(kHostsTable, name));
  master::v1::Host record;
  if (value.has_value() && !record.ParseFromString(*value)) {
    return Error(Code::kCorrupt, "record of host " + name + " cannot be read");
  }
  known_hosts_.Put(name, std::move(record));
  if (hosts_.contains(name)) {
    placer_.SetCondition(
        name, known_hosts_.IsDraining(name) ? HostCondition::kDraining : HostCondition::kReady);
  }
  return Ok();
}

void Master::DeleteAbandoned() {
  if ((abandoned_.empty() && abandoned_jobs_.empty()) || !ReadUncertain().ok()) return;
  // Those that were not stored are not among them any more.
  while (!abandoned_jobs_.empty()) {
    const uint32_t number = *abandoned_jobs_.begin();
    if (Status gone = Commit({{kJobsTable, JobKey(number), std::nullopt}}); !gone.ok()) {
      LOG_WARNING("job " + std::to_string(number) + " is deleted later: " + gone.error().message());
      return;
    }
    abandoned_jobs_.erase(number);
  }
  for (auto it = abandoned_.begin(); it != abandoned_.end();) {
    const auto found = entries_.find(*it);
    if (found != entries_.end() && found->second.vcluster->record.phase() != master::v1::DELETING) {
      master::v1::Vcluster record = found->second.vcluster->record;
      record.set_phase(master::v1::DELETING);
      if (Status stored = Store({std::move(record)}); !stored.ok()) {
        LOG_WARNING("Vcluster " + found->second.vcluster->record.name() +
                    " is deleted later: " + stored.error().message());
        return;
      }
    }
    it = abandoned_.erase(it);
  }
}

}  // namespace strata::vcluster
