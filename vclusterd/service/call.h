// What long calls need: cancellation that follows the call, and progress.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "common/cancel.h"

namespace strata::vcluster {

// Sets a CancelToken when the client gives a call up. gRPC's synchronous server has no event for
// that, so a thread looks every few milliseconds.
class CancelWatch {
 public:
  explicit CancelWatch(grpc::ServerContext* context)
      : thread_([this, context](const std::stop_token& stop) {
          std::unique_lock lock(mutex_);
          while (!stop.stop_requested()) {
            if (context->IsCancelled()) token_.Cancel();
            wake_.wait_for(lock, stop, std::chrono::milliseconds(20), [] { return false; });
          }
        }) {}
  const CancelToken& token() const { return token_; }

 private:
  CancelToken token_;
  std::mutex mutex_;  // For wake_ alone.
  std::condition_variable_any wake_;
  std::jthread thread_;
};

// Sends progress of many threads on one stream.
template <typename Event>
auto SendProgress(grpc::ServerWriter<Event>* writer, std::mutex* mutex) {
  return [writer, mutex](const std::string& stage, uint32_t done, uint32_t total) {
    Event event;
    event.mutable_progress()->set_stage(stage);
    event.mutable_progress()->set_done(done);
    event.mutable_progress()->set_total(total);
    const std::lock_guard lock(*mutex);
    writer->Write(event);  // A client that is gone is seen by CancelWatch.
  };
}

}  // namespace strata::vcluster
