// Checks of what the scheduler is told (model.h). Each answers kInvalidArgument and says which
// value of what cannot be. Names, roles and labels must be printable (common/printable.h), so that
// texts that quote them need not care. Thread-safe.
#pragma once

#include "common/result.h"
#include "vclusterd/scheduler/model.h"

namespace strata::vcluster {

Status CheckHost(const HostOffer& host);
Status CheckReport(const std::string& host, const HostReport& report);
Status CheckDemand(const NodeDemand& demand);
Status CheckUsage(const NodeUsage& usage);
Status CheckReservation(const Reservation& reservation);
Status CheckQuota(const OwnerQuota& quota);
// Of the request as a whole: owners, numbers and keys fit together, and every part is in order.
Status CheckRequest(const PlacementRequest& request);
Status CheckParameters(const SchedulerParameters& parameters);

// 0..`most`; NaN is not.
Status CheckRange(const char* what, double value, double most);

}  // namespace strata::vcluster
