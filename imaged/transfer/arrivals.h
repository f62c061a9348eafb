// Arrivals: what a pull has brought so far, for other hosts to which it is passed on meanwhile
// (docs/transfer.md, "To many hosts"). All of it is verified; little of it is committed.
//
// One transfer at a time brings, any number of threads read. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "imaged/store/object_store.h"
#include "imaged/transfer/growing_object.h"

namespace strata::imaged::transfer {

class Arrivals {
 public:
  // `store` must outlive it.
  explicit Arrivals(const ObjectStore& store) : store_(store) {}

  // The object was staged in `ingest`, and can be read from it from now on.
  void Staged(const Digest& digest, const std::shared_ptr<const Ingest>& ingest);
  // A large object comes into the file at `path`. What an earlier transfer began goes on.
  std::shared_ptr<GrowingObject> Begin(const Digest& digest, const std::string& path,
                                       uint64_t size_bytes, std::vector<GroupValue> values);
  // What has come of the object is no good.
  void Drop(const Digest& digest);
  // Nothing more will come.
  void End();

  // Blocks until there is something of the object. kNotFound: it has not come, and will not.
  // kUnavailable: nothing at all came for `stall_max`.
  Result<SourceObject> WaitFor(const Digest& digest, std::chrono::milliseconds stall_max);
  // Whether WaitFor would not block.
  bool IsHere(const Digest& digest) const;

 private:
  struct Growing {
    std::string path;
    std::shared_ptr<GrowingObject> object;
  };
  // kNotFound: there is nothing of it yet. `*advances` is what was known when it was looked for.
  Result<SourceObject> Look(const Digest& digest, uint64_t* advances, bool* ended) const;
  void Advance();  // With mutex_.

  const ObjectStore& store_;
  mutable std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  std::shared_ptr<const Ingest> staging_;
  std::unordered_map<Digest, Growing, DigestHash> growing_;
  uint64_t advances_ = 0;
  bool ended_ = false;
};

}  // namespace strata::imaged::transfer
