#include "imaged/daemon/housekeeping.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <stop_token>

#include "common/log.h"
#include "imaged/service/audit.h"

namespace strata::imaged {
namespace {

// A host that starts has more urgent things to read.
constexpr std::chrono::minutes kFirstAfter{5};
constexpr std::chrono::minutes kInterval{60};
constexpr std::chrono::minutes kCheckInterval{10};  // Between looks whether a pass is due.

void RecordEviction(const v1::Image& image, Repository& repository) {
  v1::Event event = EventOf("evict", 0, "");
  event.set_via("housekeeping");
  SetImage(image, &event);
  event.set_detail("room is short; it came from host " + image.labels().at(kCachedLabel));
  RecordOutcome(&repository, std::move(event), Ok());
}

void Collect(Repository& repository, const EvictionRule& eviction, const std::stop_token& stop) {
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
  const auto evicted = Evict(repository, eviction, cancel);
  if (evicted.ok() && !evicted->images.empty()) {
    for (const v1::Image& image : evicted->images) RecordEviction(image, repository);
    LOG_INFO("evicted " + std::to_string(evicted->images.size()) + " copies, " +
             std::to_string(evicted->bytes >> 20) + " MiB");
  } else if (!evicted.ok() && !stop.stop_requested()) {
    LOG_ERROR("eviction: " + evicted.error().message());
  }
}

void CheckDisk(Repository& repository, const std::stop_token& stop) {
  CancelToken cancel;
  const std::stop_callback on_stop(stop, [&cancel] { cancel.Cancel(); });
  BackgroundCheck& check = repository.background_check();
  while (!stop.stop_requested() && check.IsDue(repository.catalog().Now())) {
    const v1::BackgroundCheck before = check.State();
    const Status checked = check.CheckNextFolder(repository.catalog().Now(), cancel);
    if (stop.stop_requested()) return;
    if (!checked.ok()) {
      LOG_ERROR("background check: " + checked.error().message());
      return;
    }
    const v1::BackgroundCheck after = check.State();
    if (after.passes() == before.passes()) continue;
    LOG_INFO("background check: all " + std::to_string(after.objects()) +
             " objects and the manifests were read, " + std::to_string(after.unhealed_size()) +
             " are damaged and nobody has them");
  }
}

// ioprio_set(2) for this thread; glibc has neither the call nor its constants.
void TakeIdlePriority() {
  constexpr int kWhoProcess = 1;
  constexpr int kClassIdle = 3 << 13;
  if (::syscall(SYS_ioprio_set, kWhoProcess, 0, kClassIdle) != 0) {
    LOG_WARNING(Errno("idle priority of the disk").message());
  }
}

void Pause(const std::stop_token& stop, std::chrono::milliseconds time) {
  std::mutex mutex;  // For the wait alone.
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop, time, [] { return false; });
}

template <typename Step>
void Guarded(Step step) {
  try {
    step();
  } catch (const std::exception& e) {
    LOG_ERROR(std::string("housekeeping: ") + e.what());
  }
}

}  // namespace

Housekeeping::Housekeeping(Repository* repository, const EvictionRule& eviction, bool check_disk)
    : collecting_([repository, eviction](const std::stop_token& stop) {
        Collector& collector = repository->collector();
        for (std::chrono::milliseconds pause = kFirstAfter; true; pause = kInterval) {
          collector.WaitForRequest(stop, pause);
          if (stop.stop_requested()) return;
          Guarded([&] { Collect(*repository, eviction, stop); });
          // However many ask: a tenth of the time at most is spent on it.
          Pause(stop, 10 * collector.last_took());
        }
      }) {
  if (!check_disk) return;
  checking_ = std::jthread([repository](const std::stop_token& stop) {
    TakeIdlePriority();
    for (std::chrono::milliseconds pause = kFirstAfter; true; pause = kCheckInterval) {
      Pause(stop, pause);
      if (stop.stop_requested()) return;
      Guarded([&] { CheckDisk(*repository, stop); });
    }
  });
}

}  // namespace strata::imaged
