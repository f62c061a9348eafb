// The id range of every owner of nodes on this host, for ever the same: files in uppers depend on
// it. Saves and moves shift ids back, so every host may have ranges of its own.
//
// Thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "common/result.h"

namespace strata::vcluster {

class OwnerIds {
 public:
  // `first`: of the first range.
  static Result<OwnerIds> Load(const std::string& path, uint32_t first);
  // The first id of the owner's range; a new owner's is durable before it is answered.
  Result<uint32_t> RangeOf(uid_t owner);

  OwnerIds(OwnerIds&& other) noexcept
      : path_(std::move(other.path_)), first_(other.first_), ranges_(std::move(other.ranges_)) {}

 private:
  OwnerIds(std::string path, uint32_t first) : path_(std::move(path)), first_(first) {}
  std::string path_;
  uint32_t first_;
  std::mutex mutex_;  // Guards ranges_.
  std::map<uid_t, uint32_t> ranges_;
};

}  // namespace strata::vcluster
