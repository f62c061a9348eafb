// Collector: removes the layers and objects that nothing leads to, while imports, saves, fetches
// and mounts go on.
//
//   mark    which layers are live (imaged/repository/liveness.h); their object lists say which
//           objects are
//   sweep   objects folder by folder: what is on disk, not in a list and not claimed by a running
//           Ingest goes. Then manifests, lists and trees of layers that are not live
//
// Memory is bounded: the digests of as many folders as fit are looked at in one pass over the lists
// (kPassBytes), so 100 million objects take about 110 passes and 64 MiB.
//
// Thread-safe; one collection at a time (kFailedPrecondition).
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>

#include "common/cancel.h"
#include "common/result.h"
#include "imaged/repository/layer_store.h"
#include "imaged/repository/liveness.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {

class Collector {
 public:
  // All must outlive this.
  Collector(ObjectStore& objects, LayerStore& layers, Liveness& liveness)
      : objects_(objects), layers_(layers), liveness_(liveness) {}

  // Cancelled, it leaves the rest to the next one.
  Result<ObjectStore::Collected> Collect(const CancelToken& cancel = CancelToken());
  // Whether the last one took so long that a caller should not wait for the next (2 s).
  bool TakesLong() const { return last_took_ms_ > kLongMs; }
  // Asks for a collection soon. WaitForRequest waits until somebody does, at most `time`; what was
  // asked for up to then is one request.
  void Request();
  void WaitForRequest(const std::stop_token& stop, std::chrono::milliseconds time);
  std::chrono::milliseconds last_took() const { return std::chrono::milliseconds(last_took_ms_); }

  // What the images named at the last collection, each object once; nullopt: there was none yet.
  std::optional<ObjectStore::Collected> last_live() const;

  // What Collect would remove if only `roots` were live; removes nothing.
  Result<ObjectStore::Collected> Count(const Liveness::Roots& roots);

  // The bytes of digests that one pass holds; tests make it small.
  void SetPassBytes(uint64_t bytes) { pass_bytes_ = bytes; }

 private:
  // `live`: what the layers name, each once.
  Result<ObjectStore::Collected> SweepObjects(const Liveness::Roots& roots, bool remove,
                                              const CancelToken& cancel,
                                              ObjectStore::Collected* live = nullptr);

  ObjectStore& objects_;
  LayerStore& layers_;
  Liveness& liveness_;
  static constexpr int64_t kLongMs = 2000;
  uint64_t pass_bytes_ = 64u << 20;
  std::atomic<int64_t> last_took_ms_ = 0;
  mutable std::mutex mutex_;  // Guards what follows.
  std::optional<ObjectStore::Collected> last_live_;
  std::condition_variable_any wake_;
  bool requested_ = false;
};

}  // namespace strata::imaged
