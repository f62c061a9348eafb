#include "imaged/peers/host_fetcher.h"

#include "common/rpc/call_watch.h"
#include "common/rpc/status.h"
#include "imaged/api/peer.grpc.pb.h"

namespace strata::imaged {
namespace {

constexpr std::chrono::seconds kStatTimeMax{10};
constexpr std::chrono::seconds kStallMax{10};  // A program waits for it.
constexpr std::chrono::seconds kRetryAfter{1};

}  // namespace

Result<std::shared_ptr<grpc::Channel>> HostFetcher::Connect() {
  const std::lock_guard lock(mutex_);
  if (channel_ != nullptr) return channel_;
  const auto now = std::chrono::steady_clock::now();
  if (unreachable_.has_value() && now - unreachable_since_ < kRetryAfter) return *unreachable_;
  unreachable_.reset();
  auto channel = cluster_->Connect(host_);
  if (channel.ok()) {
    channel_ = *channel;
  } else if (channel.error().code() == Code::kUnavailable) {
    unreachable_ = channel.error();
    unreachable_since_ = std::chrono::steady_clock::now();
  }
  return channel;
}

Error HostFetcher::Failed(const grpc::Status& status) {
  const Error error = rpc::FromGrpc(status);
  // Refused: our certificate may have been renewed since this channel was made.
  if (error.code() == Code::kUnavailable || error.code() == Code::kPermissionDenied) {
    const std::lock_guard lock(mutex_);
    channel_.reset();
  }
  return error;
}

Result<uint64_t> HostFetcher::SizeOf(const Digest& digest) {
  ASSIGN_OR_RETURN(const auto channel, Connect());
  v1::StatObjectRequest request;
  request.set_digest(digest.ToString());
  request.set_local_only(true);
  v1::StatObjectResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kStatTimeMax);
  const grpc::Status status =
      v1::PeerService::NewStub(channel)->StatObject(&context, request, &response);
  if (!status.ok()) return Failed(status);
  return response.size_bytes();
}

Status HostFetcher::Fetch(const Digest& digest, const Sink& sink, const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const auto channel, Connect());
  v1::ReadObjectRequest request;
  request.set_digest(digest.ToString());
  grpc::ClientContext context;
  rpc::CallWatch watch([&] { context.TryCancel(); }, kStallMax, &cancel);
  const auto stream = v1::PeerService::NewStub(channel)->ReadObject(&context, request);
  v1::ObjectChunk chunk;
  Status taken = Ok();
  while (taken.ok() && stream->Read(&chunk)) {
    watch.Moved();
    taken = sink(chunk.data());
  }
  if (!taken.ok()) context.TryCancel();
  const grpc::Status status = stream->Finish();
  RETURN_IF_ERROR(taken);
  if (watch.stalled()) {
    return Error(Code::kDeadlineExceeded, Name() + " sent nothing for ten seconds");
  }
  return status.ok() ? Ok() : Status(Failed(status));
}

}  // namespace strata::imaged
