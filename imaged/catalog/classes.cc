#include "imaged/catalog/classes.h"

#include <sys/random.h>

#include <algorithm>
#include <mutex>

#include "common/log.h"
#include "imaged/catalog/reference.h"
#include "imaged/catalog/tables.h"

namespace strata::imaged {
namespace {

Error NoSuchClass(const std::string& name) {
  return Error(Code::kNotFound,
               "there is no class " + name + " of yours ('vimage class' lists them)");
}

Result<std::string> NewId() {
  std::string id(16, '\0');
  if (::getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    return Errno("getrandom");
  }
  return id;
}

}  // namespace

void Classes::Apply(const std::vector<records::RecordChange>& changes) {
  for (const records::RecordChange& change : changes) {
    if (change.table != kClasses) continue;
    const std::unique_lock lock(mutex_);
    if (!change.value) {
      entries_.erase(change.key);
      continue;
    }
    catalog::ClassRecord record;
    if (!record.ParseFromString(*change.value)) {
      LOG_ERROR("catalog: the class " + change.key + " is damaged: nobody is in it");
      record.Clear();
    }
    Entry& entry = entries_[change.key];
    entry.members.assign(record.member_uids().begin(), record.member_uids().end());
    std::sort(entry.members.begin(), entry.members.end());
    entry.created_unix_ms = record.created_unix_ms();
    entry.id = record.id();
  }
}

bool Classes::Contains(const catalog::GrantRecord& grant, uid_t uid) const {
  const std::shared_lock lock(mutex_);
  const auto it = entries_.find(grant.id());
  if (it == entries_.end() || it->second.id != grant.class_id()) return false;
  const Entry& entry = it->second;
  if (entry.id.empty() && entry.created_unix_ms > grant.granted_unix_ms()) return false;
  return std::binary_search(entry.members.begin(), entry.members.end(), uid);
}

std::string Classes::IdOf(const std::string& class_key) const {
  const std::shared_lock lock(mutex_);
  const auto it = entries_.find(class_key);
  return it == entries_.end() ? "" : it->second.id;
}

std::string Classes::DisplayName(const std::string& class_key) const {
  const auto reference = ParseKey(class_key);
  if (!reference) return class_key;
  return accounts_.UserName(reference->owner_uid) + "/" + reference->name;
}

v1::Class Classes::Describe(const std::string& key, const Entry& entry, bool with_members) const {
  v1::Class described;
  if (const auto reference = ParseKey(key)) {
    described.set_owner(accounts_.UserName(reference->owner_uid));
    described.set_name(reference->name);
  }
  described.set_member_count(entry.members.size());
  described.set_created_unix_ms(entry.created_unix_ms);
  if (with_members) {
    for (const uid_t uid : entry.members) described.add_members(accounts_.UserName(uid));
  }
  return described;
}

Status Classes::ChangeMembers(const v1::ChangeClassRequest& request,
                              std::vector<uid_t>* members) const {
  const auto uid_of = [&](const std::string& user) -> Result<uid_t> {
    const auto uid = accounts_.UidOf(user);
    if (uid) return *uid;
    return Error(Code::kNotFound, "there is no user '" + user.substr(0, 100) +
                                      "' on this host: the class is as it was");
  };
  for (const std::string& user : request.add()) {
    ASSIGN_OR_RETURN(const uid_t uid, uid_of(user));
    members->push_back(uid);
  }
  std::sort(members->begin(), members->end());
  members->erase(std::unique(members->begin(), members->end()), members->end());
  for (const std::string& user : request.remove()) {
    ASSIGN_OR_RETURN(const uid_t uid, uid_of(user));
    std::erase(*members, uid);
  }
  if (members->size() <= kClassMembersMax) return Ok();
  return Error(Code::kResourceExhausted,
               "a class has at most " + std::to_string(kClassMembersMax) + " members");
}

Result<v1::Class> Classes::Change(uid_t caller, const v1::ChangeClassRequest& request,
                                  int64_t now_unix_ms) {
  ASSIGN_OR_RETURN(const Reference name, ParseClassName(request.name(), caller, accounts_));
  const std::string key = ClassKey(name);
  if (caller != 0 && caller != name.owner_uid) return NoSuchClass(request.name());
  ASSIGN_OR_RETURN(const auto before, records_.Get(kClasses, key));
  if (!before && request.add().empty()) return NoSuchClass(request.name());
  catalog::ClassRecord record;
  if (before) {
    if (!record.ParseFromString(*before)) {
      return Error(Code::kCorrupt, "catalog: the class " + key + " is damaged");
    }
  } else {
    const std::shared_lock lock(mutex_);
    const std::string prefix = std::to_string(name.owner_uid) + "/";
    const auto first = entries_.lower_bound(prefix);
    const auto last = entries_.lower_bound(std::to_string(name.owner_uid) + "0");  // '/' + 1.
    if (static_cast<size_t>(std::distance(first, last)) >= kClassesPerOwnerMax) {
      return Error(Code::kResourceExhausted,
                   "you keep " + std::to_string(kClassesPerOwnerMax) + " classes already");
    }
    record.set_created_unix_ms(now_unix_ms);
    ASSIGN_OR_RETURN(*record.mutable_id(), NewId());
  }
  std::vector<uid_t> members(record.member_uids().begin(), record.member_uids().end());
  RETURN_IF_ERROR(ChangeMembers(request, &members));
  record.mutable_member_uids()->Assign(members.begin(), members.end());
  RETURN_IF_ERROR(
      records_.Commit({{kClasses, key, before}}, {{kClasses, key, record.SerializeAsString()}}));
  return Describe(key, {members, record.created_unix_ms(), record.id()}, /*with_members=*/true);
}

Result<std::string> Classes::KeyOf(uid_t caller, const std::string& name) const {
  ASSIGN_OR_RETURN(const Reference reference, ParseClassName(name, caller, accounts_));
  const std::string key = ClassKey(reference);
  const std::shared_lock lock(mutex_);
  if ((caller != 0 && caller != reference.owner_uid) || !entries_.contains(key)) {
    return NoSuchClass(name);
  }
  return key;
}

Status Classes::Delete(uid_t caller, const std::string& name) {
  ASSIGN_OR_RETURN(const std::string key, KeyOf(caller, name));
  return records_.Delete(kClasses, key);
}

Result<std::vector<v1::Class>> Classes::List(uid_t caller) const {
  std::vector<v1::Class> classes;
  const std::string own = std::to_string(caller) + "/";
  const std::shared_lock lock(mutex_);
  for (const auto& [key, entry] : entries_) {
    const bool owns = caller == 0 || key.starts_with(own);
    if (owns || std::binary_search(entry.members.begin(), entry.members.end(), caller)) {
      classes.push_back(Describe(key, entry, owns));
    }
  }
  return classes;
}

}  // namespace strata::imaged
