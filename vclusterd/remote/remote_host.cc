#include "vclusterd/remote/remote_host.h"

#include "common/rpc/status.h"

namespace strata::vcluster {
namespace {

// An order is taken, not carried out, within this.
constexpr std::chrono::seconds kAnswerMax(20);
// Of one message; gRPC refuses those beyond 4 MiB.
constexpr size_t kMessageBytesMax = 3u << 20;

void SetDeadline(grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() + kAnswerMax);
}

}  // namespace

RemoteHost::RemoteHost(std::string name, std::shared_ptr<grpc::Channel> channel, uint64_t epoch,
                       const host::v1::HelloRequest& hello, std::vector<net::ObservedLink> links,
                       std::string underlay_address)
    : name_(std::move(name)),
      epoch_(epoch),
      hello_(hello.hello()),
      links_(std::move(links)),
      capacity_(hello.capacity()),
      underlay_address_(std::move(underlay_address)),
      underlay_mtu_(hello.underlay_mtu()),
      fabric_(hello.fabric()),
      stub_(host::v1::WorkerService::NewStub(channel)),
      images_(host::v1::WorkerImageService::NewStub(channel)) {}

Result<std::vector<host::v1::PartStatus>> RemoteHost::Apply(
    const std::vector<host::v1::Part>& orders) {
  std::vector<host::v1::PartStatus> statuses;
  for (size_t i = 0; i < orders.size();) {
    host::v1::ApplyRequest request;
    request.set_epoch(epoch_);
    request.set_hello(hello_);
    size_t bytes = 0;
    do {
      bytes += orders[i].ByteSizeLong();
      *request.add_orders() = orders[i++];
    } while (i < orders.size() && bytes + orders[i].ByteSizeLong() < kMessageBytesMax);
    grpc::ClientContext context;
    SetDeadline(&context);
    host::v1::ApplyResponse response;
    const grpc::Status status = stub_->Apply(&context, request, &response);
    if (!status.ok()) return rpc::FromGrpc(status).Wrap("host " + name_);
    statuses.insert(statuses.end(), response.parts().begin(), response.parts().end());
  }
  return statuses;
}

Status RemoteHost::Resize(uint32_t number, uint32_t index, uint64_t disk_bytes) {
  grpc::ClientContext context;
  SetDeadline(&context);
  host::v1::ResizeRequest request;
  request.set_epoch(epoch_);
  request.set_number(number);
  request.set_index(index);
  request.set_disk_bytes(disk_bytes);
  host::v1::ResizeResponse response;
  const grpc::Status status = stub_->Resize(&context, request, &response);
  if (!status.ok()) return rpc::FromGrpc(status);
  return Ok();
}

std::optional<host::v1::HostLoad> RemoteHost::Load() {
  const std::lock_guard lock(mutex_);
  return load_;
}

void RemoteHost::SetLoad(host::v1::HostLoad load) {
  const std::lock_guard lock(mutex_);
  load_ = std::move(load);
}

Result<host::v1::UsageHistory> RemoteHost::History(uint32_t number, uint32_t index) {
  grpc::ClientContext context;
  SetDeadline(&context);
  host::v1::HistoryRequest request;
  request.set_number(number);
  request.set_index(index);
  host::v1::UsageHistory response;
  const grpc::Status status = stub_->History(&context, request, &response);
  if (!status.ok()) return rpc::FromGrpc(status);
  return response;
}

Result<host::v1::UsageHistory> RemoteHost::HostHistory() {
  grpc::ClientContext context;
  SetDeadline(&context);
  host::v1::UsageHistory response;
  const grpc::Status status =
      stub_->HostHistory(&context, host::v1::HostHistoryRequest(), &response);
  if (!status.ok()) return rpc::FromGrpc(status).Wrap("host " + name_);
  return response;
}

Result<host::v1::PartStatus> RemoteHost::Look(uint32_t number) {
  grpc::ClientContext context;
  SetDeadline(&context);
  host::v1::LookRequest request;
  request.set_number(number);
  host::v1::PartStatus response;
  const grpc::Status status = stub_->Look(&context, request, &response);
  if (!status.ok()) return rpc::FromGrpc(status);
  return response;
}

}  // namespace strata::vcluster
