// What a vclusterd can be. Each serves until it is told to stop.
#pragma once

#include "common/result.h"
#include "vclusterd/daemon/settings.h"

namespace strata::vcluster {

// Master and nodes of one host in one process; no other host, no certificates, no etcd.
Status RunSingleHost(const Settings& settings);
Status RunMaster(const Settings& settings);
Status RunWorker(const Settings& settings);

}  // namespace strata::vcluster
