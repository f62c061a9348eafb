// What long calls need: their end when nobody listens any more, or nobody can serve them, and
// progress.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "common/cancel.h"
#include "vclusterd/master/master.h"

namespace strata::vcluster {

// Sets a CancelToken when the client gives a call up. gRPC's synchronous server has no event for
// that, so a thread looks every few milliseconds.
//
// A client that reads no more holds a write up for as long as it likes, and a master that steps
// down waits for the calls that work with it. So a call that is still there a while after its
// master has ended is cancelled, which fails the write.
class CancelWatch {
 public:
  // `master`: that the call works with, and which must outlive this; null: none.
  CancelWatch(grpc::ServerContext* context, const Master* master)
      : thread_([this, context, master](const std::stop_token& stop) {
          std::unique_lock lock(mutex_);
          std::optional<Clock::time_point> ended;
          while (!stop.stop_requested()) {
            if (context->IsCancelled()) token_.Cancel();
            if (master != nullptr && master->ended() && !ended) ended = Clock::now();
            if (ended && Clock::now() - *ended >= kLastWords) context->TryCancel();
            wake_.wait_for(lock, stop, std::chrono::milliseconds(20), [] { return false; });
          }
        }) {}
  const CancelToken& token() const { return token_; }

 private:
  using Clock = std::chrono::steady_clock;
  // For a call to say that the master ends.
  static constexpr std::chrono::milliseconds kLastWords{1000};

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
