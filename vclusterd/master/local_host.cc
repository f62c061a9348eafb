#include "vclusterd/master/local_host.h"

#include "net/apply.h"
#include "vclusterd/host/host_capacity.h"

namespace strata::vcluster {

Result<std::shared_ptr<LocalHost>> LocalHost::Open(const HostConfig& config,
                                                   imaged::HostImageClient& images) {
  std::shared_ptr<LocalHost> local(new LocalHost);
  ASSIGN_OR_RETURN(local->capacity_, CapacityOf(config));
  ASSIGN_OR_RETURN(
      local->nodes_,
      HostNodes::Open(config, images, [raw = local.get()](const host::v1::PartStatus& status) {
        raw->Tell(status);
      }));
  return local;
}

void LocalHost::Tell(const host::v1::PartStatus& status) {
  const std::lock_guard lock(mutex_);
  if (master_ != nullptr) master_->Report(name_, status);
}

void LocalHost::Join(const std::string& name, Master& master) {
  {
    const std::lock_guard lock(mutex_);
    name_ = name;
    master_ = &master;
  }
  master.AddHost(name, shared_from_this(), nodes_->Statuses(/*with_usage=*/false));
}

void LocalHost::Leave() {
  const std::lock_guard lock(mutex_);
  master_ = nullptr;
}

Result<std::vector<host::v1::PartStatus>> LocalHost::Apply(
    const std::vector<host::v1::Part>& orders) {
  return nodes_->Apply(orders);
}

Result<std::vector<net::ObservedLink>> LocalHost::Links() {
  ASSIGN_OR_RETURN(std::vector<net::ObservedLink> links, net::ObserveLinks());
  // Ours are in the records, or stale.
  std::erase_if(links, [&](const net::ObservedLink& link) {
    return link.name.starts_with("s" + nodes_->config().host.instance);
  });
  return links;
}

Status LocalHost::Resize(uint32_t number, uint32_t index, uint64_t disk_bytes) {
  return nodes_->Resize(number, index, disk_bytes);
}

Result<host::v1::PartStatus> LocalHost::Look(uint32_t number) {
  return nodes_->StatusOf(number, /*with_usage=*/true);
}

Result<SaveNodeResult> LocalHost::Save(uint32_t number, uint32_t index,
                                       const SaveNodeParameters& parameters,
                                       const NodeLife::ProgressFn& progress,
                                       const CancelToken& cancel) {
  return nodes_->Save(number, index, parameters, progress, cancel);
}

Result<std::unique_ptr<RunningCommand>> LocalHost::Exec(uint32_t number, uint32_t index,
                                                        const ExecParameters& parameters,
                                                        TerminalSize terminal,
                                                        ExecListener& listener) {
  return nodes_->Exec(number, index, parameters, terminal, listener);
}

}  // namespace strata::vcluster
