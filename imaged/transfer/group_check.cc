#include "imaged/transfer/group_check.h"

#include <algorithm>
#include <utility>

namespace strata::imaged::transfer {

Result<GroupCheck> GroupCheck::Of(const Digest& digest, uint64_t size_bytes,
                                  std::vector<GroupValue> values) {
  if (size_bytes <= kGroupBytes || values.size() != (size_bytes + kGroupBytes - 1) / kGroupBytes ||
      DigestOfGroups(values) != digest) {
    return Error(Code::kCorrupt, "these are not the groups of " + digest.ToString());
  }
  return GroupCheck(size_bytes, std::move(values));
}

Status GroupCheck::Take(std::string_view content) {
  while (!content.empty()) {
    const uint64_t group_bytes = std::min<uint64_t>(kGroupBytes, size_bytes_ - verified_);
    if (group_bytes == 0) return Error(Code::kCorrupt, "there is more than the object has");
    std::string_view group = content.substr(0, group_bytes - group_.size());
    content.remove_prefix(group.size());
    if (!group_.empty() || group.size() < group_bytes) {
      group_ += group;
      if (group_.size() < group_bytes) return Ok();
      group = group_;
    }
    const uint64_t index = verified_ / kGroupBytes;
    if (ValueOfGroup(group, index) != values_[index]) {
      return Error(Code::kCorrupt, "the bytes from " + std::to_string(verified_) +
                                       " on are not those of the object");
    }
    verified_ += group_bytes;
    group_.clear();
  }
  return Ok();
}

}  // namespace strata::imaged::transfer
