// GroupCheck: verifies an object's bytes group by group as they come (common/digest_tree.h).
// Used by one thread. Memory: a group, and 32 bytes for each.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/digest.h"
#include "common/digest_tree.h"
#include "common/result.h"

namespace strata::imaged::transfer {

class GroupCheck {
 public:
  // kCorrupt: these are not the values of an object of that digest and size.
  static Result<GroupCheck> Of(const Digest& digest, uint64_t size_bytes,
                               std::vector<GroupValue> values);

  // The next bytes. kCorrupt: they are not the object's.
  Status Take(std::string_view content);
  // Bytes of whole groups that were right.
  uint64_t verified() const { return verified_; }
  const std::vector<GroupValue>& values() const { return values_; }

 private:
  GroupCheck(uint64_t size_bytes, std::vector<GroupValue> values)
      : size_bytes_(size_bytes), values_(std::move(values)) {}

  uint64_t size_bytes_;
  std::vector<GroupValue> values_;
  uint64_t verified_ = 0;
  std::string group_;  // Of which not all has come.
};

}  // namespace strata::imaged::transfer
