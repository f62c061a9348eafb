#include "imaged/client/host_image_client.h"

#include "common/rpc/call_watch.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "imaged/api/host_image.grpc.pb.h"
#include "imaged/api/imaged.grpc.pb.h"
#include "imaged/api/peer.grpc.pb.h"

namespace strata::imaged {
namespace {

// imaged itself gives a host up that sends nothing for half a minute.
constexpr std::chrono::minutes kPullStallMax(10);

class GrpcSaveSession final : public SaveSession {
 public:
  GrpcSaveSession(v1::HostImageService::Stub* stub, const v1::SaveStart& start)
      : stream_(stub->Save(&context_)) {
    *request_.mutable_start() = start;
  }

  ~GrpcSaveSession() override {
    if (finished_) return;
    context_.TryCancel();
    Drain();
  }

  // imaged begins the round at once, so the start waits for this call.
  Status FirstRound() override {
    RETURN_IF_ERROR(Send());
    return Await(v1::SaveResponse::kFirstRoundDone);
  }

  Status SecondRound() override {
    request_.mutable_frozen();
    RETURN_IF_ERROR(Send());
    return Await(v1::SaveResponse::kSecondRoundDone);
  }

  Result<SavedImage> Finish() override {
    request_.mutable_thawed();
    RETURN_IF_ERROR(Send());
    RETURN_IF_ERROR(Await(v1::SaveResponse::kResult));
    SavedImage saved;
    const v1::Image& image = response_.result().image();
    const v1::IngestSummary& summary = response_.result().summary();
    saved.reference = image.owner() + "/" + image.name() + ":" + image.tag();
    saved.digest = image.digest();
    saved.entries = summary.entries();
    saved.layer_bytes = summary.bytes();
    saved.new_bytes = summary.new_bytes();
    for (const v1::ScrubbedSecret& secret : summary.scrubbed()) {
      saved.scrubbed.push_back(
          {secret.path(), secret.category(), secret.action(), secret.reason()});
    }
    saved.scrubbed_count = summary.scrubbed_count();
    stream_->WritesDone();
    const grpc::Status status = Drain();
    if (!status.ok()) return rpc::FromGrpc(status);
    return saved;
  }

 private:
  grpc::Status Drain() {
    finished_ = true;
    v1::SaveResponse rest;
    while (stream_->Read(&rest)) {
    }
    return stream_->Finish();
  }

  // Why the stream broke.
  Status Broken() {
    const grpc::Status status = Drain();
    if (status.ok()) return Error(Code::kInternal, "imaged ended the save early");
    return rpc::FromGrpc(status);
  }

  Status Send() { return stream_->Write(request_) ? Ok() : Broken(); }

  Status Await(v1::SaveResponse::EventCase event) {
    while (stream_->Read(&response_)) {
      if (response_.event_case() == event) return Ok();
      if (response_.event_case() != v1::SaveResponse::kProgress) {
        return Error(Code::kInternal, "imaged answered the save out of order");
      }
    }
    return Broken();
  }

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::SaveRequest, v1::SaveResponse>> stream_;
  v1::SaveRequest request_;
  v1::SaveResponse response_;
  bool finished_ = false;
};

v1::ScrubMode ToMessage(ScrubMode mode) {
  switch (mode) {
    case ScrubMode::kAlways:
      return v1::SCRUB_ALWAYS;
    case ScrubMode::kNever:
      return v1::SCRUB_NEVER;
    case ScrubMode::kDefault:
      break;
  }
  return v1::SCRUB_DEFAULT;
}

v1::SaveStart ToMessage(const SaveParameters& parameters) {
  v1::SaveStart start;
  start.set_lease(parameters.lease);
  start.set_upper_dir(parameters.upper_dir);
  start.set_work_dir(parameters.work_dir);
  start.set_id_shift_first(parameters.id_shift_first);
  start.set_id_shift_count(parameters.id_shift_count);
  start.set_on_behalf_of_uid(parameters.on_behalf_of_uid);
  start.set_reference(parameters.reference);
  start.set_description(parameters.description);
  if (parameters.is_public) start.set_visibility(v1::PUBLIC);
  start.set_replace(parameters.replace);
  start.mutable_lineage()->set_origin(parameters.origin);
  start.mutable_lineage()->set_command(parameters.command_line);
  start.set_scrub(ToMessage(parameters.scrub));
  return start;
}

class GrpcHostImageClient final : public HostImageClient {
 public:
  explicit GrpcHostImageClient(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(v1::HostImageService::NewStub(channel)),
        images_(v1::ImageService::NewStub(channel)),
        transfers_(v1::TransferService::NewStub(channel)) {}

  Result<uint64_t> CountSecrets(const std::string& reference) override {
    v1::ScrubRequest request;
    request.set_reference(reference);
    request.set_dry_run(true);
    v1::ScrubResponse response;
    grpc::ClientContext context;
    const grpc::Status status = images_->Scrub(&context, request, &response);
    if (!status.ok()) return rpc::FromGrpc(status);
    return response.scrubbed_count();
  }

  Result<std::vector<std::string>> PrestageImage(const std::string& reference,
                                                 const std::vector<std::string>& hosts) override {
    v1::PrestageRequest request;
    request.set_reference(reference);
    request.mutable_hosts()->Assign(hosts.begin(), hosts.end());
    request.set_replace(true);
    grpc::ClientContext context;
    const auto reader = transfers_->Prestage(&context, request);
    std::vector<std::string> failures;
    v1::PrestageHost host;
    while (reader->Read(&host)) {
      if (host.has_error()) failures.push_back(host.host() + ": " + host.error());
    }
    const grpc::Status status = reader->Finish();
    if (!status.ok()) return rpc::FromGrpc(status);
    return failures;
  }

  Result<AcquiredRoot> AcquireRoot(const std::string& reference, uint32_t on_behalf_of_uid,
                                   const std::vector<std::string>& leases) override {
    v1::AcquireRootRequest request;
    request.set_reference(reference);
    request.set_on_behalf_of_uid(on_behalf_of_uid);
    request.mutable_leases()->Assign(leases.begin(), leases.end());
    v1::AcquireRootResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub_->AcquireRoot(&context, request, &response);
    if (!status.ok()) return rpc::FromGrpc(status);
    AcquiredRoot root;
    const v1::Image& image = response.image();
    root.image_digest = image.digest();
    root.reference = image.owner() + "/" + image.name() + ":" + image.tag();
    root.tree_path = response.tree_path();
    root.objects_dir = response.objects_dir();
    root.command.assign(image.config().command().begin(), image.config().command().end());
    root.env.assign(image.config().env().begin(), image.config().env().end());
    root.start_unknown = response.start_unknown();
    return root;
  }

  Status ReleaseRoot(const std::string& lease) override {
    v1::ReleaseRootRequest request;
    request.set_lease(lease);
    v1::ReleaseRootResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub_->ReleaseRoot(&context, request, &response);
    return status.ok() ? Ok() : Status(rpc::FromGrpc(status));
  }

  Status RecordStart(const std::string& lease, const std::vector<std::string>& paths) override {
    constexpr size_t kBytesMax = 2 << 20;  // Of a message.
    v1::RecordStartRequest request;
    request.set_lease(lease);
    size_t bytes = 0;
    for (const std::string& path : paths) {
      bytes += path.size() + 8;
      if (bytes > kBytesMax) break;
      request.add_paths(path);
    }
    v1::RecordStartResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub_->RecordStart(&context, request, &response);
    return status.ok() ? Ok() : Status(rpc::FromGrpc(status));
  }

  Result<std::unique_ptr<SaveSession>> StartSave(const SaveParameters& parameters) override {
    return std::unique_ptr<SaveSession>(
        std::make_unique<GrpcSaveSession>(stub_.get(), ToMessage(parameters)));
  }

  Status PullImage(const std::string& host, const std::string& reference,
                   const CancelToken& cancel) override {
    v1::PullRequest request;
    request.set_host(host);
    request.set_reference(reference);
    request.set_replace(true);
    grpc::ClientContext context;
    const auto reader = transfers_->Pull(&context, request);
    rpc::CallWatch watch([&] { context.TryCancel(); }, kPullStallMax, &cancel);
    v1::PullEvent event;
    while (reader->Read(&event)) watch.Moved();
    const grpc::Status status = reader->Finish();
    return status.ok() ? Ok() : Status(rpc::FromGrpc(status));
  }

  Status DeleteImage(const std::string& reference, bool force) override {
    v1::DeleteRequest request;
    request.set_reference(reference);
    request.set_force(force);
    v1::DeleteResponse response;
    grpc::ClientContext context;
    const grpc::Status status = images_->Delete(&context, request, &response);
    if (status.ok() || status.error_code() == grpc::StatusCode::NOT_FOUND) return Ok();
    return rpc::FromGrpc(status);
  }

 private:
  const std::unique_ptr<v1::HostImageService::Stub> stub_;
  const std::unique_ptr<v1::ImageService::Stub> images_;
  const std::unique_ptr<v1::TransferService::Stub> transfers_;
};

}  // namespace

Result<std::unique_ptr<HostImageClient>> HostImageClient::Connect(const std::string& socket_path) {
  ASSIGN_OR_RETURN(const auto channel, rpc::ConnectLocal(socket_path, "imaged"));
  return std::unique_ptr<HostImageClient>(std::make_unique<GrpcHostImageClient>(channel));
}

}  // namespace strata::imaged
