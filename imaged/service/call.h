// What every handler needs: cancellation that follows the RPC, progress that does not flood it, and
// a guard that turns whatever is thrown by a library into a status.
#pragma once

#include <grpcpp/server_context.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "common/cancel.h"
#include "common/log.h"
#include "common/rpc/status.h"

namespace strata::imaged {

// Sets `token()` when the caller goes away or cancels. gRPC tells only who asks, so one thread per
// long call asks every 50 ms.
class CallCancellation {
 public:
  explicit CallCancellation(grpc::ServerContext* context)
      : watcher_([this, context](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            if (context->IsCancelled()) token_.Cancel();
            std::unique_lock<std::mutex> lock(mutex_);
            wake_.wait_for(lock, stop, std::chrono::milliseconds(50), [] { return false; });
          }
        }) {}
  const CancelToken& token() const { return token_; }

 private:
  CancelToken token_;
  std::mutex mutex_;  // For wake_ alone.
  std::condition_variable_any wake_;
  std::jthread watcher_;
};

// True at most ten times a second.
class RateLimit {
 public:
  bool Pass() {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(100)) return false;
    last_ = now;
    return true;
  }

 private:
  std::chrono::steady_clock::time_point last_;
};

template <typename Handler>
grpc::Status Guarded(const char* call, Handler handler) {
  try {
    const Status status = handler();
    if (!status.ok() && status.error().code() == Code::kInternal) {
      LOG_ERROR(std::string(call) + ": " + status.error().message());
    }
    return rpc::ToGrpc(status);
  } catch (const std::exception& e) {
    LOG_ERROR(std::string(call) + ": exception: " + e.what());
    return grpc::Status(grpc::StatusCode::INTERNAL, std::string(call) + ": " + e.what());
  }
}

// A handler whose whole answer is one message.
template <typename Message, typename Handler>
grpc::Status Answer(const char* call, Message* answer, Handler handler) {
  return Guarded(call, [&]() -> Status {
    ASSIGN_OR_RETURN(*answer, handler());
    return Ok();
  });
}

}  // namespace strata::imaged
