// What a job has hosts do. Pure, thread-safe.
#pragma once

#include "vclusterd/api/host.pb.h"
#include "vclusterd/api/jobs.pb.h"

namespace strata::vcluster {

// Adds the job's runs that are under way to the nodes of `part`, an order for a part of its
// Vcluster, and their commands.
void AddTaskOrders(const jobs::v1::Job& job, host::v1::Part* part);

}  // namespace strata::vcluster
