// LocalHost: the host that the master itself runs on, in the same process.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "imaged/client/host_image_client.h"
#include "vclusterd/host/host_nodes.h"
#include "vclusterd/master/host_link.h"
#include "vclusterd/master/master.h"

namespace strata::vcluster {

class LocalHost final : public HostLink, public std::enable_shared_from_this<LocalHost> {
 public:
  // Opens the nodes of this host. `images` must outlive the result.
  static Result<std::shared_ptr<LocalHost>> Open(const HostConfig& config,
                                                 imaged::HostImageClient& images);
  // Joins the master's hosts; what its nodes do is told to him from now on. REQUIRES: `master` ends
  // first.
  void Join(const std::string& name, Master& master);
  // The master is not called any more when this returns.
  void Leave();

  Result<std::vector<host::v1::PartStatus>> Apply(
      const std::vector<host::v1::Part>& orders) override;
  Result<std::vector<net::ObservedLink>> Links() override;
  host::v1::Capacity Capacity() override { return capacity_; }
  std::optional<host::v1::HostLoad> Load() override { return nodes_->Load(); }
  Result<host::v1::UsageHistory> History(uint32_t number, uint32_t index) override {
    return nodes_->History(number, index);
  }
  Result<host::v1::UsageHistory> HostHistory() override { return nodes_->HostHistory(); }
  Status Resize(uint32_t number, uint32_t index, uint64_t disk_bytes) override;
  Result<host::v1::PartStatus> Look(uint32_t number) override;
  Result<SaveNodeResult> Save(uint32_t number, uint32_t index, const SaveNodeParameters& parameters,
                              const NodeLife::ProgressFn& progress,
                              const CancelToken& cancel) override;
  Result<std::unique_ptr<PartSave>> StartSave(uint32_t number,
                                              const std::vector<PartSaveNode>& nodes) override {
    return nodes_->StartSave(number, nodes);
  }
  Result<host::v1::ImagesResponse> ChangeImages(host::v1::ImagesRequest request) override {
    return nodes_->ChangeImages(request);
  }
  Result<std::unique_ptr<RunningCommand>> Exec(uint32_t number, uint32_t index,
                                               const ExecParameters& parameters,
                                               TerminalSize terminal,
                                               ExecListener& listener) override;
  HostNodes& nodes() { return *nodes_; }

 private:
  LocalHost() = default;
  void Tell(const host::v1::PartStatus& status);

  host::v1::Capacity capacity_;
  std::mutex mutex_;  // Guards what follows.
  std::string name_;
  Master* master_ = nullptr;
  std::unique_ptr<HostNodes> nodes_;  // Set by Open. Last: its threads end first.
};

}  // namespace strata::vcluster
