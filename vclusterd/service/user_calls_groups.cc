// Groups.
#include <algorithm>

#include "common/printable.h"
#include "vclusterd/service/user_calls.h"

namespace strata::vcluster {

using namespace accounts::v1;

// What a group is to the caller's rights: his own when he has a part in it.
bool UserCalls::Sees(const users::v1::Group& group) const {
  const bool concerns = users_.groups().Concerns(group.number(), caller_.uid);
  const uint32_t owner = concerns ? caller_.uid : group.owner_uids(0);
  return users_.Allows(caller_, Operation::kGroupList, {owner, "group " + group.name(), ""});
}

Result<GroupPtr> UserCalls::GroupIn(const std::string& name) const {
  GroupPtr group = users_.groups().FindByName(name);
  if (group != nullptr && Sees(*group)) return group;
  return Error(Code::kNotFound, "there is no group '" + Printable(name, 64) +
                                    "', or you may not know of it (see: vcluster group list)");
}

Target UserCalls::GroupTarget(const users::v1::Group& group) const {
  const bool is_owner = users_.groups().IsOwner(group.number(), caller_.uid);
  return {is_owner ? caller_.uid : group.owner_uids(0), "group " + group.name(), ""};
}

GroupInfo UserCalls::InfoOf(const users::v1::Group& group) const {
  GroupInfo info;
  info.set_number(group.number());
  info.set_name(group.name());
  info.set_description(group.description());
  info.set_revision(group.revision());
  info.set_created_unix_ms(group.created_unix_ms());
  const auto has = [&](const auto& uids) {
    return std::find(uids.begin(), uids.end(), caller_.uid) != uids.end();
  };
  const bool is_owner = has(group.owner_uids());
  info.set_my_part(is_owner                    ? "owner"
                   : has(group.member_uids())  ? "member"
                   : has(group.invited_uids()) ? "invited"
                                               : "");
  for (const uint32_t uid : group.owner_uids()) *info.add_owners() = PersonOf(uid);
  info.set_sees_members(is_owner || users_.Allows(caller_, Operation::kGroupList, {}));
  if (!info.sees_members()) return info;
  for (const uint32_t uid : group.member_uids()) *info.add_members() = PersonOf(uid);
  for (const uint32_t uid : group.invited_uids()) *info.add_invited() = PersonOf(uid);
  return info;
}

GroupList UserCalls::Just(const users::v1::Group& group) const {
  GroupList list;
  *list.add_groups() = InfoOf(group);
  return list;
}

Result<GroupList> UserCalls::ListGroups(const ListGroupsRequest& request) {
  RETURN_IF_ERROR(MayList(Operation::kGroupList));
  if (!request.group().empty()) {
    ASSIGN_OR_RETURN(const GroupPtr group, GroupIn(request.group()));
    return Just(*group);
  }
  GroupList list;
  for (const GroupPtr& group : users_.groups().All()) {
    if (!Sees(*group)) continue;
    GroupInfo info = InfoOf(*group);
    // Who is in it is asked for by its name.
    info.clear_members();
    info.clear_invited();
    info.set_sees_members(false);
    *list.add_groups() = std::move(info);
  }
  return list;
}

Result<GroupList> UserCalls::AddGroup(const AddGroupRequest& request) {
  ASSIGN_OR_RETURN(const GroupPtr group,
                   users_.CreateGroup(caller_, request.name(), request.description()));
  return Just(*group);
}

Result<GroupList> UserCalls::EditGroup(const EditGroupRequest& request) {
  ASSIGN_OR_RETURN(const GroupPtr group, GroupIn(request.group()));
  // Before names are looked up, which tells of accounts.
  const Target target = GroupTarget(*group);
  if (!users_.Allows(caller_, Operation::kGroupInvite, target)) {
    RETURN_IF_ERROR(users_.Authorize(caller_, Operation::kGroupEdit, target));
  }
  GroupEdit edit;
  if (request.has_revision()) edit.revision = request.revision();
  if (request.has_description()) edit.description = request.description();
  const auto resolve = [&](const auto& names, std::vector<uint32_t>* uids) -> Status {
    for (const std::string& name : names) {
      ASSIGN_OR_RETURN(const uint32_t uid, users_.UidOf(name));
      uids->push_back(uid);
    }
    return Ok();
  };
  RETURN_IF_ERROR(resolve(request.add_owners(), &edit.add_owners));
  RETURN_IF_ERROR(resolve(request.remove_owners(), &edit.remove_owners));
  RETURN_IF_ERROR(resolve(request.enrol(), &edit.enrol));
  RETURN_IF_ERROR(resolve(request.invite(), &edit.invite));
  RETURN_IF_ERROR(resolve(request.remove(), &edit.remove));
  ASSIGN_OR_RETURN(const GroupPtr edited, users_.EditGroup(caller_, group->number(), edit));
  return Just(*edited);
}

Result<GroupList> UserCalls::JoinGroup(const GroupRequest& request) {
  ASSIGN_OR_RETURN(const GroupPtr group, GroupIn(request.group()));
  RETURN_IF_ERROR(users_.JoinGroup(caller_, group->number()));
  const GroupPtr joined = users_.groups().Find(group->number());
  return Just(joined == nullptr ? *group : *joined);
}

Result<GroupList> UserCalls::LeaveGroup(const GroupRequest& request) {
  ASSIGN_OR_RETURN(const GroupPtr group, GroupIn(request.group()));
  RETURN_IF_ERROR(users_.LeaveGroup(caller_, group->number()));
  return Just(*group);
}

Result<GroupList> UserCalls::DeleteGroup(const GroupRequest& request) {
  ASSIGN_OR_RETURN(const GroupPtr group, GroupIn(request.group()));
  GroupList list = Just(*group);
  RETURN_IF_ERROR(users_.DeleteGroup(caller_, group->number(), std::nullopt));
  return list;
}

}  // namespace strata::vcluster
