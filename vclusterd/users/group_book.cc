#include "vclusterd/users/group_book.h"

#include <algorithm>
#include <mutex>

#include "common/log.h"
#include "common/printable.h"
#include "common/records/retry.h"
#include "vclusterd/users/account_rules.h"
#include "vclusterd/users/record_change.h"
#include "vclusterd/users/tables.h"

namespace strata::vcluster {
namespace {

using users::v1::Group;
using users::v1::Index;
using Uids = google::protobuf::RepeatedField<uint32_t>;

constexpr uint32_t kRecordVersion = 1;
constexpr char kLastGroup[] = "last/group";

std::string NameKey(const std::string& name) { return "group-name/" + name; }

Error NoGroup(uint32_t number) {
  return Error(Code::kNotFound, "there is no group with the number " + std::to_string(number));
}

bool Has(const Uids& uids, uint32_t uid) {
  return std::binary_search(uids.begin(), uids.end(), uid);
}

void Insert(const std::vector<uint32_t>& added, Uids* uids) {
  std::vector<uint32_t> all(uids->begin(), uids->end());
  all.insert(all.end(), added.begin(), added.end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  uids->Assign(all.begin(), all.end());
}

template <typename Unwanted>
void RemoveIf(const Unwanted& unwanted, Uids* uids) {
  uids->erase(std::remove_if(uids->begin(), uids->end(), unwanted), uids->end());
}

void RemoveAll(std::vector<uint32_t> removed, Uids* uids) {
  std::sort(removed.begin(), removed.end());
  RemoveIf([&](uint32_t uid) { return std::binary_search(removed.begin(), removed.end(), uid); },
           uids);
}

Status CheckSizes(const Group& group) {
  if (group.owner_uids().empty()) {
    return Error(Code::kInvalidArgument, "a group has at least one owner");
  }
  if (group.owner_uids_size() > kGroupOwnersMax || group.member_uids_size() > kGroupMembersMax ||
      group.invited_uids_size() > kGroupMembersMax) {
    return Error(Code::kResourceExhausted, "a group has at most " +
                                               std::to_string(kGroupOwnersMax) + " owners and " +
                                               std::to_string(kGroupMembersMax) + " members");
  }
  return Ok();
}

}  // namespace

void GroupBook::Apply(const std::vector<records::RecordChange>& changes) {
  const std::lock_guard lock(mutex_);
  for (const records::RecordChange& change : changes) {
    if (change.table != kUserGroupsTable) continue;
    const auto number = NumberOfKey(change.key);
    if (!number) continue;
    if (const auto old = groups_.find(*number); old != groups_.end()) {
      for (const uint32_t uid : old->second->member_uids()) {
        const auto of = of_member_.find(uid);
        std::erase(of->second, old->second);
        if (of->second.empty()) of_member_.erase(of);
      }
      by_name_.erase(old->second->name());
      groups_.erase(old);
    }
    if (!change.value) continue;
    auto group = std::make_shared<Group>();
    if (!group->ParseFromString(*change.value) || group->number() != *number) {
      LOG_ERROR("the group " + Printable(change.key) + " is damaged and passed over");
      continue;
    }
    by_name_[group->name()] = *number;
    for (const uint32_t uid : group->member_uids()) of_member_[uid].push_back(group);
    groups_[*number] = std::move(group);
  }
}

Result<GroupPtr> GroupBook::Create(const std::string& name, const std::string& description,
                                   uint32_t owner) {
  RETURN_IF_ERROR(CheckGroupName(name));
  RETURN_IF_ERROR(CheckNote(description));
  return records::RetryWhileChanged([&]() -> Result<GroupPtr> {
    size_t owned = 0;
    for (const GroupPtr& group : All()) owned += Has(group->owner_uids(), owner) ? 1 : 0;
    if (owned >= kGroupsPerOwnerMax) {
      return Error(Code::kResourceExhausted,
                   "an owner has at most " + std::to_string(kGroupsPerOwnerMax) + " groups");
    }
    ASSIGN_OR_RETURN(const auto taken, Load<Index>(store_, kUserIndexTable, NameKey(name)));
    if (taken.raw) return Error(Code::kAlreadyExists, "there is a group '" + name + "'");
    ASSIGN_OR_RETURN(const auto last, Load<Index>(store_, kUserIndexTable, kLastGroup));
    if (last.value.number() == UINT32_MAX) {
      return Error(Code::kResourceExhausted, "all numbers of groups were given away");
    }
    Index number;
    number.set_number(last.value.number() + 1);
    auto group = std::make_shared<Group>();
    group->set_version(kRecordVersion);
    group->set_revision(1);
    group->set_number(number.number());
    group->set_name(name);
    group->set_description(description);
    group->add_owner_uids(owner);
    group->set_created_unix_ms(now_());
    Transaction transaction;
    transaction.Put(kUserIndexTable, kLastGroup, last.raw, number);
    transaction.Put(kUserIndexTable, NameKey(name), std::nullopt, number);
    transaction.Put(kUserGroupsTable, NumberKey(group->number()), std::nullopt, *group);
    RETURN_IF_ERROR(transaction.Commit(store_));
    return GroupPtr(std::move(group));
  });
}

Result<GroupPtr> GroupBook::ChangeGroup(uint32_t number, std::optional<uint64_t> revision,
                                        const Change& change) {
  const std::string key = NumberKey(number);
  return ChangeFrom(revision, [&]() -> Result<GroupPtr> {
    ASSIGN_OR_RETURN(auto loaded, Load<Group>(store_, kUserGroupsTable, key));
    if (!loaded.raw) return NoGroup(number);
    RETURN_IF_ERROR(CheckRevision(revision, loaded.value, "the group " + loaded.value.name()));
    auto group = std::make_shared<Group>(std::move(loaded.value));
    RETURN_IF_ERROR(change(group.get()));
    RETURN_IF_ERROR(CheckSizes(*group));
    group->set_revision(group->revision() + 1);
    Transaction transaction;
    transaction.Put(kUserGroupsTable, key, loaded.raw, *group);
    RETURN_IF_ERROR(transaction.Commit(store_));
    return GroupPtr(std::move(group));
  });
}

Result<GroupPtr> GroupBook::Edit(uint32_t number, const GroupEdit& edit) {
  if (edit.description) RETURN_IF_ERROR(CheckNote(*edit.description));
  return ChangeGroup(number, edit.revision, [&](Group* group) -> Status {
    if (edit.description) group->set_description(*edit.description);
    Insert(edit.add_owners, group->mutable_owner_uids());
    RemoveAll(edit.remove_owners, group->mutable_owner_uids());
    Insert(edit.enrol, group->mutable_member_uids());
    Insert(edit.invite, group->mutable_invited_uids());
    RemoveAll(edit.remove, group->mutable_member_uids());
    RemoveAll(edit.remove, group->mutable_invited_uids());
    RemoveIf([&](uint32_t uid) { return Has(group->member_uids(), uid); },
             group->mutable_invited_uids());
    return Ok();
  });
}

Status GroupBook::Join(uint32_t number, uint32_t uid) {
  const auto joined = ChangeGroup(number, std::nullopt, [&](Group* group) -> Status {
    // Whether there is such a group is for those to know whom it concerns.
    if (!Has(group->invited_uids(), uid)) return NoGroup(number);
    Insert({uid}, group->mutable_member_uids());
    RemoveAll({uid}, group->mutable_invited_uids());
    return Ok();
  });
  return joined.ok() ? Ok() : Status(joined.error());
}

Status GroupBook::Leave(uint32_t number, uint32_t uid) {
  const auto left = ChangeGroup(number, std::nullopt, [&](Group* group) -> Status {
    const bool is_there = Has(group->member_uids(), uid) || Has(group->invited_uids(), uid);
    if (!is_there) return NoGroup(number);
    RemoveAll({uid}, group->mutable_member_uids());
    RemoveAll({uid}, group->mutable_invited_uids());
    return Ok();
  });
  return left.ok() ? Ok() : Status(left.error());
}

Status GroupBook::LeaveAll(uint32_t uid) {
  for (const GroupPtr& group : All()) {
    if (!Has(group->member_uids(), uid) && !Has(group->invited_uids(), uid)) continue;
    const Status left = Leave(group->number(), uid);
    if (!left.ok() && left.error().code() != Code::kNotFound) return left;
  }
  return Ok();
}

Status GroupBook::Delete(uint32_t number, std::optional<uint64_t> revision) {
  const std::string key = NumberKey(number);
  return ChangeFrom(revision, [&]() -> Status {
    ASSIGN_OR_RETURN(const auto loaded, Load<Group>(store_, kUserGroupsTable, key));
    if (!loaded.raw) return NoGroup(number);
    RETURN_IF_ERROR(CheckRevision(revision, loaded.value, "the group " + loaded.value.name()));
    Transaction transaction;
    transaction.Remove(kUserGroupsTable, key, loaded.raw);
    transaction.RemoveAny(kUserIndexTable, NameKey(loaded.value.name()));
    transaction.RemoveAny(kUserLimitsTable, GroupEachKey(number));
    transaction.RemoveAny(kUserLimitsTable, GroupAllKey(number));
    return transaction.Commit(store_);
  });
}

GroupPtr GroupBook::Find(uint32_t number) const {
  const std::shared_lock lock(mutex_);
  const auto it = groups_.find(number);
  return it == groups_.end() ? nullptr : it->second;
}

GroupPtr GroupBook::FindByName(const std::string& name) const {
  const std::shared_lock lock(mutex_);
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : groups_.at(it->second);
}

std::vector<GroupPtr> GroupBook::All() const {
  std::vector<GroupPtr> all;
  const std::shared_lock lock(mutex_);
  for (const auto& [number, group] : groups_) all.push_back(group);
  return all;
}

std::vector<GroupPtr> GroupBook::Of(uint32_t uid) const {
  std::vector<GroupPtr> groups;
  {
    const std::shared_lock lock(mutex_);
    const auto it = of_member_.find(uid);
    if (it != of_member_.end()) groups = it->second;
  }
  std::sort(groups.begin(), groups.end(),
            [](const auto& a, const auto& b) { return a->number() < b->number(); });
  return groups;
}

bool GroupBook::IsOwner(uint32_t number, uint32_t uid) const {
  const GroupPtr group = Find(number);
  return group != nullptr && Has(group->owner_uids(), uid);
}

bool GroupBook::Concerns(uint32_t number, uint32_t uid) const {
  const GroupPtr group = Find(number);
  return group != nullptr && (Has(group->owner_uids(), uid) || Has(group->member_uids(), uid) ||
                              Has(group->invited_uids(), uid));
}

bool GroupBook::Teaches(uint32_t teacher, uint32_t student) const {
  const std::shared_lock lock(mutex_);
  const auto it = of_member_.find(student);
  return it != of_member_.end() &&
         std::any_of(it->second.begin(), it->second.end(),
                     [&](const auto& group) { return Has(group->owner_uids(), teacher); });
}

}  // namespace strata::vcluster
