// WorkerFabric: a worker's part in the encrypted network of the hosts: has it as the leader ordered
// last, and says how it is, also when its keys change. One thread, so that reports do not wait.
//
// Thread-safe.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include "vclusterd/api/fabric.pb.h"
#include "vclusterd/host/host_nodes.h"

namespace strata::vcluster {

class WorkerFabric {
 public:
  // `nodes` must outlive this. `changed` from its thread, when Report has something new.
  WorkerFabric(HostNodes& nodes, std::function<void()> changed);
  ~WorkerFabric();

  void Take(const host::v1::FabricOrder& order);
  host::v1::FabricReport Report();

 private:
  void Run(const std::stop_token& stop);
  // How it is now.
  void Look(std::optional<host::v1::FabricOrder> order, host::v1::FabricReport* report);

  HostNodes& nodes_;
  const std::function<void()> changed_;
  std::mutex mutex_;  // Guards what follows.
  std::condition_variable_any wake_;
  std::optional<host::v1::FabricOrder> order_;  // Not carried out yet.
  host::v1::FabricReport report_;
  std::jthread thread_;  // Last.
};

}  // namespace strata::vcluster
