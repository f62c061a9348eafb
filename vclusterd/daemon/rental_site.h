// RentalSite over the master of this process and this host's imaged.
#pragma once

#include <memory>

#include "common/records/record_store.h"
#include "imaged/client/cluster_client.h"
#include "vclusterd/master/master.h"
#include "vclusterd/providers/rentals.h"

namespace strata::vcluster {

// All must outlive the result.
std::unique_ptr<RentalSite> MakeRentalSite(Master& master, const PlacerOptions& placer,
                                           records::RecordStore& store,
                                           imaged::ClusterClient& cluster);

}  // namespace strata::vcluster
