// RemoteHost: a host whose worker is another process, called by gRPC.
#pragma once

#include <grpcpp/channel.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "vclusterd/api/worker.grpc.pb.h"
#include "vclusterd/api/worker_images.grpc.pb.h"
#include "vclusterd/master/host_link.h"

namespace strata::vcluster {

class RemoteHost final : public HostLink {
 public:
  // `hello`: its worker's call. `links`: of the host itself, as its worker said.
  RemoteHost(std::string name, std::shared_ptr<grpc::Channel> channel, uint64_t epoch,
             const host::v1::HelloRequest& hello, std::vector<net::ObservedLink> links,
             std::string underlay_address);

  Result<std::vector<host::v1::PartStatus>> Apply(
      const std::vector<host::v1::Part>& orders) override;
  Result<std::vector<net::ObservedLink>> Links() override { return links_; }
  host::v1::Capacity Capacity() override { return capacity_; }
  std::string UnderlayAddress() override { return underlay_address_; }
  uint32_t UnderlayMtu() override { return underlay_mtu_; }
  host::v1::FabricReport Fabric() override { return fabric_; }
  std::optional<host::v1::HostLoad> Load() override;
  void SetLoad(host::v1::HostLoad load) override;
  Result<host::v1::UsageHistory> History(uint32_t number, uint32_t index) override;
  Result<host::v1::UsageHistory> HostHistory() override;
  Status Resize(uint32_t number, uint32_t index, uint64_t disk_bytes) override;
  Result<host::v1::PartStatus> Look(uint32_t number) override;
  Result<SaveNodeResult> Save(uint32_t number, uint32_t index, const SaveNodeParameters& parameters,
                              const NodeLife::ProgressFn& progress,
                              const CancelToken& cancel) override;
  Result<std::unique_ptr<PartSave>> StartSave(uint32_t number,
                                              const std::vector<PartSaveNode>& nodes) override;
  Result<host::v1::ImagesResponse> ChangeImages(host::v1::ImagesRequest request) override;
  Result<std::unique_ptr<RunningCommand>> Exec(uint32_t number, uint32_t index,
                                               const ExecParameters& parameters,
                                               TerminalSize terminal,
                                               ExecListener& listener) override;

 private:
  const std::string name_;
  const uint64_t epoch_;
  const uint64_t hello_;
  const std::vector<net::ObservedLink> links_;
  const host::v1::Capacity capacity_;
  const std::string underlay_address_;
  const uint32_t underlay_mtu_;
  const host::v1::FabricReport fabric_;
  const std::unique_ptr<host::v1::WorkerService::Stub> stub_;
  const std::unique_ptr<host::v1::WorkerImageService::Stub> images_;
  std::mutex mutex_;  // Guards load_.
  std::optional<host::v1::HostLoad> load_;
};

}  // namespace strata::vcluster
