#include "imaged/client/object_client.h"

#include <chrono>
#include <condition_variable>
#include <stop_token>
#include <thread>

#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "imaged/api/imaged.grpc.pb.h"

namespace strata::imaged {
namespace {

// Ends a call when its token is set. A token can only be asked, so a thread asks it.
class CancelOnToken {
 public:
  CancelOnToken(grpc::ClientContext* context, const CancelToken& token)
      : watcher_([this, context, &token](const std::stop_token& stop) {
          std::unique_lock lock(mutex_);
          while (!stop.stop_requested() && !token.cancelled()) {
            wake_.wait_for(lock, stop, std::chrono::milliseconds(50), [] { return false; });
          }
          if (token.cancelled()) context->TryCancel();
        }) {}

 private:
  std::mutex mutex_;  // For wake_ alone.
  std::condition_variable_any wake_;
  std::jthread watcher_;
};

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
  const CancelOnToken watch(&context, cancel);
  const auto stream = connection->stub->ProvideObject(&context, request);
  v1::Progress progress;
  while (stream->Read(&progress)) {
  }
  const grpc::Status status = stream->Finish();
  return status.ok() ? Ok() : Status(Failed(rpc::FromGrpc(status)));
}

Status ObjectClient::Read(const Digest& digest, const std::function<Status(std::string_view)>& sink,
                          const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const auto connection, Connect());
  v1::ReadObjectRequest request;
  request.set_digest(digest.ToString());
  grpc::ClientContext context;
  const CancelOnToken watch(&context, cancel);
  const auto stream = connection->stub->ReadObject(&context, request);
  v1::ObjectChunk chunk;
  Status taken = Ok();
  while (taken.ok() && stream->Read(&chunk)) taken = sink(chunk.data());
  if (!taken.ok()) context.TryCancel();
  const grpc::Status status = stream->Finish();
  RETURN_IF_ERROR(taken);
  return status.ok() ? Ok() : Status(Failed(rpc::FromGrpc(status)));
}

}  // namespace strata::imaged
