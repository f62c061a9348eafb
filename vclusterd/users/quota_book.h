// QuotaBook: the limits that admins set, and what they say to a user's wish (quota.h). What is used
// is its caller's to know. Root of the host has no limits.
//
// Held in memory as well, fed by RecordStore::Follow. Thread-safe. Durable when a call returns.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <shared_mutex>
#include <string>

#include "common/records/record_store.h"
#include "common/result.h"
#include "vclusterd/users/group_book.h"
#include "vclusterd/users/quota.h"

namespace strata::vcluster {

// Whose limits.
struct LimitHolder {
  enum class Kind { kDefault, kUser, kGroupEach, kGroupAll };
  Kind kind = Kind::kDefault;
  uint32_t number = 0;  // A uid, or a group's.
};

struct StoredLimits {
  LimitSet limits;
  uint64_t revision = 0;  // 0: none were set.
};

// What is used now.
struct QuotaUsage {
  QuotaAmounts own;
  // Of all members of a group together; asked only where such a limit is set. May be empty.
  std::function<QuotaAmounts(uint32_t group)> of_group;
};

class QuotaBook {
 public:
  // Both must outlive this.
  QuotaBook(records::RecordStore& store, const GroupBook& groups)
      : store_(store), groups_(groups) {}

  void Apply(const std::vector<records::RecordChange>& changes);

  StoredLimits Get(const LimitHolder& holder) const;
  // Replaces them. kFailedPrecondition when `revision` is given and somebody else was faster.
  Status Set(const LimitHolder& holder, const LimitSet& limits, std::optional<uint64_t> revision);

  // Whether `uid`, who is called `name`, may have `asked` more. kResourceExhausted says which limit
  // of whom is in the way.
  Status Check(uint32_t uid, const std::string& name, const QuotaAmounts& asked,
               const QuotaUsage& usage) const;
  // All limits that count for him.
  Bounds BoundsOf(uint32_t uid, const std::string& name, const QuotaUsage& usage) const;

 private:
  std::optional<LimitSet> Find(const std::string& key) const;

  records::RecordStore& store_;
  const GroupBook& groups_;
  mutable std::shared_mutex mutex_;                  // Guards limits_.
  std::map<std::string, users::v1::Limits> limits_;  // By key.
};

}  // namespace strata::vcluster
