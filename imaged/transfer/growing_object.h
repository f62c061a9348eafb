// GrowingObject: a large object that is still coming, for those to whom it is passed on meanwhile.
// They read the file that it comes into, as far as it has been verified (common/digest_tree.h).
//
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "common/digest.h"
#include "common/digest_tree.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace strata::imaged::transfer {

class GrowingObject {
 public:
  GrowingObject(uint64_t size_bytes, std::vector<GroupValue> values)
      : size_bytes_(size_bytes), values_(std::move(values)) {}

  uint64_t size_bytes() const { return size_bytes_; }
  const std::vector<GroupValue>& values() const { return values_; }

  // Blocks until the bytes before `end` are in the file. kUnavailable: none came for `stall_max`,
  // or no more will.
  Status WaitFor(uint64_t end, std::chrono::milliseconds stall_max);

  // So many bytes, from the first on, are there and right; never fewer than before.
  void Verified(uint64_t bytes);
  // Nothing more will come.
  void End();

 private:
  const uint64_t size_bytes_;
  const std::vector<GroupValue> values_;
  std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  uint64_t verified_ = 0;
  bool ended_ = false;
};

// An object as a sender reads it.
struct SourceObject {
  SourceObject() = default;
  SourceObject(UniqueFd file) : fd(std::move(file)) {}  // All of it is there.
  SourceObject(UniqueFd file, std::shared_ptr<GrowingObject> object)
      : fd(std::move(file)), growing(std::move(object)) {}

  UniqueFd fd;
  std::shared_ptr<GrowingObject> growing;  // Null: all of it is there.
};

// Opens an object for reading; may block until there is something of it. kNotFound: there is none,
// or the peer may not read it.
using OpenObject = std::function<Result<SourceObject>(const Digest&)>;

}  // namespace strata::imaged::transfer
