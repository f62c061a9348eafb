// What every handler needs: cancellation that follows the RPC, progress that does not flood it, and
// a guard that numbers the request, counts it, and turns whatever is thrown by a library into a
// status.
#pragma once

#include <grpcpp/server_context.h>
#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

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

// How many long calls one user has running on a service: there is one service object per user, so
// this is a member of it. Root, and with him the host's daemons, is not bounded.
class LongCalls {
 public:
  explicit LongCalls(uid_t uid) : max_(uid == 0 ? INT_MAX : kMax) {}

  class Slot {
   public:
    explicit Slot(std::atomic<int>* running) : running_(running) {}
    Slot(Slot&& other) noexcept : running_(std::exchange(other.running_, nullptr)) {}
    Slot& operator=(Slot&&) = delete;
    ~Slot() {
      if (running_ != nullptr) --*running_;
    }

   private:
    std::atomic<int>* running_;
  };
  // kResourceExhausted.
  Result<Slot> Enter() {
    Slot slot((++running_, &running_));
    if (running_ <= max_) return slot;
    return Error(Code::kResourceExhausted, "you have " + std::to_string(max_) +
                                               " long operations running: wait until one ends");
  }

 private:
  static constexpr int kMax = 4;
  const int max_;
  std::atomic<int> running_ = 0;
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

// Counts the call in the metrics (strata_rpc_seconds).
void CountCall(const char* call, const Status& status, std::chrono::nanoseconds took);

template <typename Handler>
Status GuardedStatus(const char* call, Handler handler) {
  const RequestScope request;
  const auto began = std::chrono::steady_clock::now();
  Status status = Ok();
  try {
    status = handler();
  } catch (const std::exception& e) {
    status = Error(Code::kInternal, std::string(call) + ": exception: " + e.what());
  }
  if (!status.ok() && status.error().code() == Code::kInternal) {
    LOG_ERROR(std::string(call) + ": " + status.error().message());
    // So that whoever reads the log finds what the user saw.
    status = status.error().Wrap("request " + RequestScope::Current());
  }
  CountCall(call, status, std::chrono::steady_clock::now() - began);
  return status;
}

template <typename Handler>
grpc::Status Guarded(const char* call, Handler handler) {
  return rpc::ToGrpc(GuardedStatus(call, handler));
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
