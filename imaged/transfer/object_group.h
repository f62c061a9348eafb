// Verified objects on their way into a store, made durable in groups: a commit costs two syncfs
// whatever it holds (docs/transfer.md has figures). An object is visible, and safe, after its
// group's commit. Used by one thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/digest.h"
#include "common/result.h"
#include "imaged/store/object_store.h"
#include "imaged/transfer/arrivals.h"
#include "imaged/transfer/rate_limiter.h"

namespace strata::imaged::transfer {

// When a group is committed at the latest.
struct GroupLimits {
  uint64_t bytes = 64ull << 20;
  std::chrono::milliseconds age{5000};  // On slow links groups are small.
};

class ObjectGroup {
 public:
  // All outlive it. What is staged is told to `arrivals`, which may be null.
  ObjectGroup(ObjectStore& store, Clock& clock, const GroupLimits& limits, Arrivals* arrivals)
      : store_(store), clock_(clock), limits_(limits), arrivals_(arrivals) {}

  // kCorrupt: the bytes have another digest; nothing was taken.
  Status Add(const Digest& digest, std::string_view content);
  // Moves the file into the store's staging. kCorrupt: as above, and the file stays.
  Status TakeFile(const Digest& digest, const std::string& path, uint64_t size_bytes);

  // Commits when the group is large or old enough.
  Status CommitIfDue();
  Status Commit();

  // Objects that are committed.
  uint64_t objects() const { return objects_; }

 private:
  Status Start();
  void Staged(const Digest& digest, uint64_t size_bytes);

  ObjectStore& store_;
  Clock& clock_;
  const GroupLimits limits_;
  Arrivals* const arrivals_;
  std::shared_ptr<Ingest> ingest_;  // Null while nothing is staged.
  Clock::TimePoint started_;
  uint64_t staged_bytes_ = 0;
  uint64_t staged_objects_ = 0;
  uint64_t objects_ = 0;
};

}  // namespace strata::imaged::transfer
