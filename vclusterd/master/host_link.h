// HostLink: a host as the master sees it. In this process (LocalHost), or another one's worker.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "net/observed.h"
#include "vclusterd/api/worker.pb.h"
#include "vclusterd/api/worker_images.pb.h"
#include "vclusterd/host/exec_session.h"
#include "vclusterd/host/node_life.h"
#include "vclusterd/host/part_save.h"

namespace strata::vcluster {

// Thread-safe.
class HostLink {
 public:
  virtual ~HostLink() = default;
  // The orders are durable there when it answers, with the state of each part then. kUnavailable:
  // it is not known whether they are.
  virtual Result<std::vector<host::v1::PartStatus>> Apply(
      const std::vector<host::v1::Part>& orders) = 0;
  // Addresses that no Vcluster may use: those of the host itself.
  virtual Result<std::vector<net::ObservedLink>> Links() = 0;
  virtual host::v1::Capacity Capacity() = 0;
  // Where other hosts reach this one's nodes; empty: there are none.
  virtual std::string UnderlayAddress() { return {}; }
  // Of its link to other hosts. 0: not told.
  virtual uint32_t UnderlayMtu() { return 0; }
  // Its part in the fabric, as its worker has said at first.
  virtual host::v1::FabricReport Fabric() { return {}; }
  // Another limit of disk for a node, which the next order repeats.
  virtual Status Resize(uint32_t number, uint32_t index, uint64_t disk_bytes) = 0;
  // What the whole host used lately; nullopt: it was not measured yet.
  virtual std::optional<host::v1::HostLoad> Load() { return std::nullopt; }
  // As its worker has reported it, where that is another process.
  virtual void SetLoad(host::v1::HostLoad) {}
  // What a node used in the last hours. kNotFound.
  virtual Result<host::v1::UsageHistory> History(uint32_t number, uint32_t index) = 0;
  // The same of the whole host.
  virtual Result<host::v1::UsageHistory> HostHistory() = 0;
  // A status with the figures that cost a look.
  virtual Result<host::v1::PartStatus> Look(uint32_t number) = 0;
  // Cancelled before it is published, a save leaves nothing. `progress` from any thread.
  virtual Result<SaveNodeResult> Save(uint32_t number, uint32_t index,
                                      const SaveNodeParameters& parameters,
                                      const NodeLife::ProgressFn& progress,
                                      const CancelToken& cancel) = 0;
  // See HostNodes. A host that cannot answers kUnsupported.
  virtual Result<std::unique_ptr<PartSave>> StartSave(uint32_t, const std::vector<PartSaveNode>&) {
    return Error(Code::kUnsupported, "this host saves single nodes only");
  }
  virtual Result<host::v1::ImagesResponse> ChangeImages(host::v1::ImagesRequest) {
    return Error(Code::kUnsupported, "this host changes no images");
  }
  // Starts a command in a node. `listener` must outlive the result.
  virtual Result<std::unique_ptr<RunningCommand>> Exec(uint32_t number, uint32_t index,
                                                       const ExecParameters& parameters,
                                                       TerminalSize terminal,
                                                       ExecListener& listener) = 0;
};

}  // namespace strata::vcluster
