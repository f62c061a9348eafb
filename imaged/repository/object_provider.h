// ObjectProvider: brings single objects into a store from elsewhere. Bytes are hashed while they
// arrive, below staging/; only what has the right digest is made durable (fdatasync of the file)
// and then given its name. The name itself may be lost by a power cut; then the object is fetched
// again.
//
// An object that does not match its digest is moved to <store>/damaged/<hex>, for whoever wants to
// look at it; it is removed when a good one has come.
//
// Thread-safe. Two calls for one object may fetch it twice; the object mount asks once.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "common/cancel.h"
#include "imaged/fetch/object_fetcher.h"
#include "imaged/store/object_store.h"

namespace strata::imaged {

class ObjectProvider {
 public:
  using Progress = std::function<void(uint64_t bytes)>;

  ObjectProvider(ObjectStore& store, std::vector<std::unique_ptr<ObjectFetcher>> fetchers)
      : store_(store), fetchers_(std::move(fetchers)) {}

  bool HasSources() const { return !fetchers_.empty(); }
  // kNotFound when nobody has it. `local_only`: as the store has it.
  Result<uint64_t> SizeOf(const Digest& digest, bool local_only);
  // Ok: the store has the object. With `verify` its bytes are compared first. The error tells what
  // every source said.
  Status Provide(const Digest& digest, bool verify, const CancelToken& cancel,
                 const Progress& progress = {});

 private:
  Status FetchFrom(ObjectFetcher& fetcher, const Digest& digest, const CancelToken& cancel,
                   const Progress& progress);

  ObjectStore& store_;
  const std::vector<std::unique_ptr<ObjectFetcher>> fetchers_;
};

}  // namespace strata::imaged
