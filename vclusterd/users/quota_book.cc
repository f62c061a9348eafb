#include "vclusterd/users/quota_book.h"

#include <mutex>

#include "common/log.h"
#include "common/printable.h"
#include "common/records/retry.h"
#include "vclusterd/users/record_change.h"
#include "vclusterd/users/tables.h"

namespace strata::vcluster {
namespace {

constexpr uint32_t kRecordVersion = 1;
constexpr char kDefaultKey[] = "default";

std::string KeyOf(const LimitHolder& holder) {
  switch (holder.kind) {
    case LimitHolder::Kind::kUser:
      return UserLimitsKey(holder.number);
    case LimitHolder::Kind::kGroupEach:
      return GroupEachKey(holder.number);
    case LimitHolder::Kind::kGroupAll:
      return GroupAllKey(holder.number);
    case LimitHolder::Kind::kDefault:
      break;
  }
  return kDefaultKey;
}

}  // namespace

void QuotaBook::Apply(const std::vector<records::RecordChange>& changes) {
  const std::lock_guard lock(mutex_);
  for (const records::RecordChange& change : changes) {
    if (change.table != kUserLimitsTable) continue;
    users::v1::Limits limits;
    if (change.value && !limits.ParseFromString(*change.value)) {
      // Unlimited use would be the wrong guess.
      LOG_ERROR("the limits " + Printable(change.key) + " are damaged: nothing more is given out");
      limits.Clear();
      LimitSet none;
      for (size_t i = 0; i < kResources; ++i) none[static_cast<Resource>(i)] = 0;
      SetLimits(none, &limits);
    }
    if (change.value) {
      limits_[change.key] = std::move(limits);
    } else {
      limits_.erase(change.key);
    }
  }
}

StoredLimits QuotaBook::Get(const LimitHolder& holder) const {
  const std::shared_lock lock(mutex_);
  const auto it = limits_.find(KeyOf(holder));
  if (it == limits_.end()) return {};
  return {LimitsOf(it->second), it->second.revision()};
}

Status QuotaBook::Set(const LimitHolder& holder, const LimitSet& limits,
                      std::optional<uint64_t> revision) {
  const std::string key = KeyOf(holder);
  return ChangeFrom(revision, [&]() -> Status {
    // One that is damaged is replaced.
    ASSIGN_OR_RETURN(const auto raw, store_.Get(kUserLimitsTable, key));
    users::v1::Limits record;
    if (raw) record.ParseFromString(*raw);
    RETURN_IF_ERROR(CheckRevision(revision, record, "these limits"));
    Transaction transaction;
    const bool is_group =
        holder.kind == LimitHolder::Kind::kGroupEach || holder.kind == LimitHolder::Kind::kGroupAll;
    if (is_group) {
      // They must not outlive it.
      const std::string group_key = NumberKey(holder.number);
      ASSIGN_OR_RETURN(auto group, store_.Get(kUserGroupsTable, group_key));
      if (!group) {
        return Error(Code::kNotFound,
                     "there is no group with the number " + std::to_string(holder.number));
      }
      transaction.Expect(kUserGroupsTable, group_key, std::move(group));
    }
    SetLimits(limits, &record);
    record.set_version(kRecordVersion);
    record.set_revision(record.revision() + 1);
    transaction.Put(kUserLimitsTable, key, raw, record);
    return transaction.Commit(store_);
  });
}

std::optional<LimitSet> QuotaBook::Find(const std::string& key) const {
  const std::shared_lock lock(mutex_);
  const auto it = limits_.find(key);
  return it == limits_.end() ? std::nullopt : std::optional(LimitsOf(it->second));
}

Bounds QuotaBook::BoundsOf(uint32_t uid, const std::string& name, const QuotaUsage& usage) const {
  Bounds bounds;
  if (uid == 0) return bounds;
  if (const auto own = Find(UserLimitsKey(uid)))
    bounds.set.push_back({name, *own, usage.own, true});
  for (const GroupPtr& group : groups_.Of(uid)) {
    if (const auto each = Find(GroupEachKey(group->number()))) {
      bounds.set.push_back({"each member of " + group->name(), *each, usage.own, true});
    }
    const auto all = Find(GroupAllKey(group->number()));
    if (all && usage.of_group) {
      bounds.set.push_back(
          {"group " + group->name(), *all, usage.of_group(group->number()), false});
    }
  }
  bounds.fallback = {"every user (the default)", Find(kDefaultKey).value_or(LimitSet()), usage.own,
                     true};
  return bounds;
}

Status QuotaBook::Check(uint32_t uid, const std::string& name, const QuotaAmounts& asked,
                        const QuotaUsage& usage) const {
  const auto excess = FindExcess(BoundsOf(uid, name, usage), asked);
  return excess ? Status(ExcessError(*excess)) : Ok();
}

}  // namespace strata::vcluster
