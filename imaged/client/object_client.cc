#include "imaged/client/object_client.h"

#include <chrono>

#include "common/rpc/call_watch.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "imaged/api/host_image.grpc.pb.h"

namespace strata::imaged {
namespace {

// Another imaged that is silent for so long is given up.
constexpr std::chrono::seconds kStallMax{30};
// Our own bounds itself (imaged/repository/object_provider.h); this is for one that is stopped.
constexpr std::chrono::seconds kProvideStallMax{120};

Error Silent(const std::string& socket_path) {
  return Error(Code::kDeadlineExceeded, "imaged at " + socket_path + " is silent");
}

}  // namespace

struct ObjectClient::Connection {
  std::unique_ptr<v1::HostImageService::Stub> stub;
};

ObjectClient::ObjectClient(std::string socket_path) : socket_path_(std::move(socket_path)) {}
ObjectClient::~ObjectClient() = default;

Result<std::shared_ptr<ObjectClient::Connection>> ObjectClient::Connect() {
  const std::lock_guard lock(mutex_);
  if (connection_ == nullptr) {
    ASSIGN_OR_RETURN(const auto channel, rpc::ConnectLocal(socket_path_, "imaged"));
    connection_ = std::make_shared<Connection>();
    connection_->stub = v1::HostImageService::NewStub(channel);
  }
  return connection_;
}

Error ObjectClient::Failed(const Error& error) {
  if (error.code() == Code::kUnavailable) {
    const std::lock_guard lock(mutex_);
    connection_.reset();
  }
  return error;
}

Result<uint64_t> ObjectClient::SizeOf(const Digest& digest, bool local_only) {
  ASSIGN_OR_RETURN(const auto connection, Connect());
  v1::StatObjectRequest request;
  request.set_digest(digest.ToString());
  request.set_local_only(local_only);
  v1::StatObjectResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kProvideStallMax);
  const grpc::Status status = connection->stub->StatObject(&context, request, &response);
  if (!status.ok()) return Failed(rpc::FromGrpc(status));
  return response.size_bytes();
}

Status ObjectClient::Provide(const Digest& digest, bool verify, const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const auto connection, Connect());
  v1::ProvideObjectRequest request;
  request.set_digest(digest.ToString());
  request.set_verify(verify);
  grpc::ClientContext context;
  rpc::CallWatch watch([&] { context.TryCancel(); }, kProvideStallMax, &cancel);
  const auto stream = connection->stub->ProvideObject(&context, request);
  v1::Progress progress;
  while (stream->Read(&progress)) watch.Moved();
  const grpc::Status status = stream->Finish();
  if (watch.stalled()) return Silent(socket_path_);
  return status.ok() ? Ok() : Status(Failed(rpc::FromGrpc(status)));
}

Status ObjectClient::Read(const Digest& digest, const std::function<Status(std::string_view)>& sink,
                          const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const auto connection, Connect());
  v1::ReadObjectRequest request;
  request.set_digest(digest.ToString());
  grpc::ClientContext context;
  rpc::CallWatch watch([&] { context.TryCancel(); }, kStallMax, &cancel);
  const auto stream = connection->stub->ReadObject(&context, request);
  v1::ObjectChunk chunk;
  Status taken = Ok();
  while (taken.ok() && stream->Read(&chunk)) {
    watch.Moved();
    taken = sink(chunk.data());
  }
  if (!taken.ok()) context.TryCancel();
  const grpc::Status status = stream->Finish();
  RETURN_IF_ERROR(taken);
  if (watch.stalled()) return Silent(socket_path_);
  return status.ok() ? Ok() : Status(Failed(rpc::FromGrpc(status)));
}

}  // namespace strata::imaged
