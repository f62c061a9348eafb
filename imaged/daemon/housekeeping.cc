#include "imaged/daemon/housekeeping.h"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <stop_token>

#include "common/log.h"

namespace strata::imaged {
namespace {

// A host that starts has more urgent things to read.
constexpr std::chrono::minutes kFirstAfter{5};
constexpr std::chrono::minutes kInterval{60};

void Collect(Repository& repository, const std::stop_token& stop) {
  CancelToken cancel;
  const std::stop_callback at_end(stop, [&cancel] { cancel.Cancel(); });
  const auto collected = repository.collector().Collect(cancel);
  if (collected.ok() && collected->objects > 0) {
    LOG_INFO("collected " + std::to_string(collected->objects) + " objects, " +
             std::to_string(collected->bytes >> 20) + " MiB");
  } else if (!collected.ok() && collected.error().code() != Code::kFailedPrecondition &&
             !stop.stop_requested()) {
    LOG_ERROR("collection: " + collected.error().message());
  }
}

}  // namespace

Housekeeping::Housekeeping(Repository* repository)
    : thread_([repository](const std::stop_token& stop) {
        std::mutex mutex;  // For the wait alone.
        std::condition_variable_any wake;
        for (std::chrono::minutes pause = kFirstAfter; true; pause = kInterval) {
          {
            std::unique_lock lock(mutex);
            wake.wait_for(lock, stop, pause, [] { return false; });
          }
          if (stop.stop_requested()) return;
          try {
            Collect(*repository, stop);
          } catch (const std::exception& e) {
            LOG_ERROR(std::string("collection: ") + e.what());
          }
        }
      }) {}

}  // namespace strata::imaged
