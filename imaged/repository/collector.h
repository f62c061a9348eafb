// Collector: removes the layers and objects that nothing leads to, while imports, saves, fetches
// and mounts go on.
//
//   mark    which layers are live (imaged/repository/liveness.h); their object lists say which
//           objects are
//   sweep   objects folder by folder: what is on disk, not in a list and not claimed by a running
//           Ingest goes. Then manifests, lists and trees of layers that are not live
//
// Memory is bounded: the digests of as many folders as fit are looked at in one pass over the lists
// (kPassBytes), so 100 million objects take about 50 passes and 64 MiB.
//
// Thread-safe; one collection at a time (kFailedPrecondition).
#pragma once

#include <cstdint>

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
  // What Collect would remove if only `roots` were live; removes nothing.
  Result<ObjectStore::Collected> Count(const Liveness::Roots& roots);

  // The bytes of digests that one pass holds; tests make it small.
  void SetPassBytes(uint64_t bytes) { pass_bytes_ = bytes; }

 private:
  Result<ObjectStore::Collected> SweepObjects(const Liveness::Roots& roots, bool remove,
                                              const CancelToken& cancel);

  ObjectStore& objects_;
  LayerStore& layers_;
  Liveness& liveness_;
  uint64_t pass_bytes_ = 64u << 20;
};

}  // namespace strata::imaged
