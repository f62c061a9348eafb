#include "imaged/repository/collector.h"

#include <prometheus/counter.h>

#include <algorithm>

#include "common/metrics.h"

namespace strata::imaged {
namespace {

constexpr unsigned kFolders = 256;

// Null for a layer that an operation is about to commit: it claims the objects itself.
Result<std::shared_ptr<const ObjectList>> ListOf(const LayerStore& layers,
                                                 const Liveness::Roots& roots,
                                                 const Digest& layer) {
  auto list = layers.Objects(layer);
  if (!list.ok() && list.error().code() == Code::kNotFound && !roots.named.contains(layer)) {
    return std::shared_ptr<const ObjectList>();
  }
  return list;
}

// How many folders of objects one pass looks at, so that its digests take at most `pass_bytes`.
Result<unsigned> FoldersPerPass(const LayerStore& layers, const Liveness::Roots& roots,
                                uint64_t pass_bytes) {
  uint64_t total = 0;
  for (const Digest& layer : roots.layers) {
    ASSIGN_OR_RETURN(const auto list, ListOf(layers, roots, layer));
    if (list != nullptr) total += list->entries().size() * (sizeof(ObjectEntry) + sizeof(Digest));
  }
  const uint64_t per_folder = total / kFolders + 1;
  return static_cast<unsigned>(std::clamp<uint64_t>(pass_bytes / per_folder, 1, kFolders));
}

void Freed(const ObjectStore::Collected& collected, std::chrono::milliseconds took) {
  static auto& bytes = prometheus::BuildCounter()
                           .Name("strata_collected_bytes_total")
                           .Help("Objects that collections removed")
                           .Register(Metrics())
                           .Add({});
  static auto& seconds = prometheus::BuildCounter()
                             .Name("strata_collection_seconds_total")
                             .Help("Time that collections took")
                             .Register(Metrics())
                             .Add({});
  bytes.Increment(static_cast<double>(collected.bytes));
  seconds.Increment(std::chrono::duration<double>(took).count());
}

}  // namespace

Result<ObjectStore::Collected> Collector::Collect(const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const Liveness::Epoch epoch, liveness_.BeginEpoch());
  const auto began = std::chrono::steady_clock::now();
  ObjectStore::Collected live;
  const ObjectStore::ClaimEpoch claims = objects_.KeepClaims();
  ASSIGN_OR_RETURN(const Liveness::Roots roots, liveness_.Mark());
  ASSIGN_OR_RETURN(const ObjectStore::Collected collected,
                   SweepObjects(roots, /*remove=*/true, cancel, &live));
  RETURN_IF_ERROR(liveness_.WithRoots(
      [this](const Liveness::Roots& now) { return layers_.Sweep(now.layers, now.stacks); }));
  last_took_ms_ = std::chrono::duration_cast<std::chrono::milliseconds>(
                      std::chrono::steady_clock::now() - began)
                      .count();
  Freed(collected, last_took());
  const std::lock_guard lock(mutex_);
  last_live_ = live;
  return collected;
}

std::optional<ObjectStore::Collected> Collector::last_live() const {
  const std::lock_guard lock(mutex_);
  return last_live_;
}

void Collector::Request() {
  const std::lock_guard lock(mutex_);
  requested_ = true;
  wake_.notify_all();
}

void Collector::WaitForRequest(const std::stop_token& stop, std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, stop, time, [this] { return requested_; });
  requested_ = false;
}

Result<ObjectStore::Collected> Collector::Count(const Liveness::Roots& roots) {
  return SweepObjects(roots, /*remove=*/false, CancelToken());
}

Result<ObjectStore::Collected> Collector::SweepObjects(const Liveness::Roots& roots, bool remove,
                                                       const CancelToken& cancel,
                                                       ObjectStore::Collected* counted) {
  ObjectStore::Collected collected;
  ASSIGN_OR_RETURN(const unsigned step, FoldersPerPass(layers_, roots, pass_bytes_));
  // After the mark: one that was committed in between is claimed or held by who committed it.
  ASSIGN_OR_RETURN(const std::vector<Digest> pending, layers_.PendingObjects());
  for (unsigned first = 0; first < kFolders; first += step) {
    const unsigned end = std::min(first + step, kFolders);
    std::vector<ObjectEntry> named;
    for (const Digest& layer : roots.layers) {
      ASSIGN_OR_RETURN(const auto list, ListOf(layers_, roots, layer));
      if (list == nullptr) continue;
      for (const ObjectEntry& entry : list->WithFirstBytes(first, end)) {
        named.push_back(entry);
      }
    }
    std::sort(named.begin(), named.end(),
              [](const auto& a, const auto& b) { return a.digest < b.digest; });
    std::vector<Digest> live = pending;
    for (size_t i = 0; i < named.size(); ++i) {
      if (i > 0 && named[i].digest == named[i - 1].digest) continue;
      live.push_back(named[i].digest);
      if (counted == nullptr) continue;
      ++counted->objects;
      counted->bytes += named[i].size_bytes;
    }
    std::sort(live.begin(), live.end());
    live.erase(std::unique(live.begin(), live.end()), live.end());
    for (unsigned folder = first; folder < end; ++folder) {
      RETURN_IF_ERROR(cancel.Check());
      ASSIGN_OR_RETURN(const ObjectStore::Collected part,
                       objects_.Sweep(static_cast<uint8_t>(folder), live, remove));
      collected.objects += part.objects;
      collected.bytes += part.bytes;
    }
  }
  return collected;
}

}  // namespace strata::imaged
