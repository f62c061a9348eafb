// Takes over what a vclusterd of before there were masters left: one JSON file per Vcluster below
// <state>/vclusterd/clusters, version 1 (docs/formats.md).
#pragma once

#include <string>

#include "common/records/record_store.h"
#include "common/result.h"

namespace strata::vcluster {

// Makes a record and a part of each file, and removes the file when both are durable; so it may be
// broken off and repeated. REQUIRES: nobody uses the state yet. Containers are not touched: the
// parts name them as they are. A file that cannot be read is an error that names it.
Status UpgradeState(const std::string& state_dir, records::RecordStore& store);

}  // namespace strata::vcluster
