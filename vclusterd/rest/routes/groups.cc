// Groups of users.
#include <charconv>

#include "common/printable.h"
#include "vclusterd/rest/routes/group_of_address.h"
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/route_rows.h"
#include "vclusterd/rest/routes/routes.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;

bool Sees(const Exchange& exchange, const users::v1::Group& group) {
  const Users& users = exchange.services.users;
  const bool concerns = users.groups().Concerns(group.number(), exchange.caller.uid);
  const uint32_t owner = concerns ? exchange.caller.uid : group.owner_uids(0);
  return users.Allows(exchange.caller, Operation::kGroupList, {owner, "group " + group.name(), ""});
}

Json ToJson(const Exchange& exchange, const users::v1::Group& group) {
  const Users& users = exchange.services.users;
  const auto people = [&](const auto& uids) {
    Json list = Json::array();
    for (const uint32_t uid : uids) list.push_back({{"uid", uid}, {"name", users.NameOf(uid)}});
    return list;
  };
  Json json = {{"number", group.number()},
               {"name", group.name()},
               {"description", group.description()},
               {"revision", group.revision()},
               {"created_unix_ms", group.created_unix_ms()},
               {"owners", people(group.owner_uids())}};
  // Who else is in it is its owners' to know, and admins'.
  const bool is_owner = users.groups().IsOwner(group.number(), exchange.caller.uid);
  const bool sees_all = is_owner || users.Allows(exchange.caller, Operation::kGroupList, Target{});
  if (sees_all) {
    json["members"] = people(group.member_uids());
    json["invited"] = people(group.invited_uids());
  }
  return json;
}

Result<Reply> List(Exchange& exchange) {
  Json list = Json::array();
  for (const GroupPtr& group : exchange.services.users.groups().All()) {
    if (Sees(exchange, *group)) list.push_back(ToJson(exchange, *group));
  }
  return Answer({{"groups", std::move(list)}});
}

Result<Reply> Create(Exchange& exchange) {
  ASSIGN_OR_RETURN(
      const GroupPtr group,
      exchange.services.users.CreateGroup(exchange.caller, exchange.Given<std::string>("name", ""),
                                          exchange.Given<std::string>("description", "")));
  return Answer(ToJson(exchange, *group), 201);
}

Result<Reply> Get(Exchange& exchange) {
  ASSIGN_OR_RETURN(const GroupPtr group, GroupIn(exchange));
  return Answer(ToJson(exchange, *group));
}

// The users that a list of the body names. A name that is nobody's is an error; whether it is
// somebody's is told to who may invite and enrol, because he has to write it right.
Result<std::vector<uint32_t>> UsersIn(const Exchange& exchange, const char* name) {
  std::vector<uint32_t> uids;
  const auto list = exchange.body.find(name);
  if (list == exchange.body.end()) return uids;
  for (const Json& one : *list) {
    ASSIGN_OR_RETURN(const uint32_t uid, exchange.services.users.UidOf(one.get<std::string>()),
                     name);
    uids.push_back(uid);
  }
  return uids;
}

Result<Reply> Edit(Exchange& exchange) {
  ASSIGN_OR_RETURN(const GroupPtr group, GroupIn(exchange));
  Users& users = exchange.services.users;
  // Before names are looked up, which tells of accounts.
  const bool is_owner = users.groups().IsOwner(group->number(), exchange.caller.uid);
  const Target target{is_owner ? exchange.caller.uid : group->owner_uids(0),
                      "group " + group->name(), ""};
  if (!users.Allows(exchange.caller, Operation::kGroupInvite, target)) {
    RETURN_IF_ERROR(users.Authorize(exchange.caller, Operation::kGroupEdit, target));
  }
  GroupEdit edit;
  edit.revision = exchange.Given<uint64_t>("revision");
  edit.description = exchange.Given<std::string>("description");
  ASSIGN_OR_RETURN(edit.add_owners, UsersIn(exchange, "add_owners"));
  ASSIGN_OR_RETURN(edit.remove_owners, UsersIn(exchange, "remove_owners"));
  ASSIGN_OR_RETURN(edit.enrol, UsersIn(exchange, "enrol"));
  ASSIGN_OR_RETURN(edit.invite, UsersIn(exchange, "invite"));
  ASSIGN_OR_RETURN(edit.remove, UsersIn(exchange, "remove"));
  ASSIGN_OR_RETURN(const GroupPtr edited, users.EditGroup(exchange.caller, group->number(), edit));
  return Answer(ToJson(exchange, *edited));
}

Result<Reply> Delete(Exchange& exchange) {
  ASSIGN_OR_RETURN(const GroupPtr group, GroupIn(exchange));
  RETURN_IF_ERROR(exchange.services.users.DeleteGroup(exchange.caller, group->number(),
                                                      exchange.Asked<uint64_t>("revision")));
  return NoContent();
}

Result<Reply> Join(Exchange& exchange) {
  ASSIGN_OR_RETURN(const GroupPtr group, GroupIn(exchange));
  RETURN_IF_ERROR(exchange.services.users.JoinGroup(exchange.caller, group->number()));
  return NoContent();
}

Result<Reply> Leave(Exchange& exchange) {
  ASSIGN_OR_RETURN(const GroupPtr group, GroupIn(exchange));
  RETURN_IF_ERROR(exchange.services.users.LeaveGroup(exchange.caller, group->number()));
  return NoContent();
}

void AddSchemas(RouteTable* table) {
  const Json people =
      ListOf(Members("A user.").Must("uid", Whole("His number.")).Must("name", Text("His name.")),
             "By number.");
  const Json names = ListOf(Text("A name or number.", 64), "Users.", 10'000);
  table->AddSchema("Group", Members("A group.")
                                .Must("number", Whole("Never another group's."))
                                .Must("name", Text("Its name."))
                                .Must("description", Text("For people."))
                                .Must("revision", Whole("Moved on by every change."))
                                .Must("created_unix_ms", Whole("When it was made."))
                                .Must("owners", people)
                                .May("members", people)
                                .May("invited", people));
  table->AddSchema("GroupList",
                   Members("Groups.").Must("groups", ListOf(Ref("Group"), "By number.")));
  table->AddSchema("NewGroup", Members("A group to make.")
                                   .Must("name", Text("Its name.", 64))
                                   .May("description", Text("For people.")));
  table->AddSchema("GroupEdit", Members("What is absent stays.")
                                    .May("revision", RevisionSchema())
                                    .May("description", Text("For people."))
                                    .May("add_owners", names)
                                    .May("remove_owners", names)
                                    .May("invite", names)
                                    .May("enrol", names)
                                    .May("remove", names));
}

}  // namespace

Result<GroupPtr> GroupIn(const Exchange& exchange) {
  const GroupBook& groups = exchange.services.users.groups();
  const std::string& word = exchange.path.at("group");
  GroupPtr group = groups.FindByName(word);
  uint32_t number = 0;
  const char* const end = word.data() + word.size();
  if (group == nullptr && std::from_chars(word.data(), end, number).ptr == end) {
    group = groups.Find(number);
  }
  if (group == nullptr || !Sees(exchange, *group)) {
    return Error(Code::kNotFound,
                 "there is no group '" + Printable(word) + "', or you may not know of it");
  }
  return group;
}

void AddGroupRoutes(RouteTable* table) {
  AddSchemas(table);
  const std::string resource = "/v1/groups";
  const RouteRow rows[] = {
      {"GET", "", "listGroups", Operation::kGroupList, "Those that one may see", "", 200,
       "GroupList", List},
      {"POST", "", "createGroup", Operation::kGroupCreate, "Makes a group", "NewGroup", 201,
       "Group", Create},
      {"GET", "/{group}", "getGroup", Operation::kGroupList, "By name or number", "", 200, "Group",
       Get},
      {"DELETE",
       "/{group}",
       "deleteGroup",
       Operation::kGroupDelete,
       "Deletes it",
       "",
       204,
       "",
       Delete,
       {{"revision", RevisionSchema()}}},
      {"POST", "/{group}/join", "joinGroup", Operation::kGroupJoin,
       "Who is invited becomes a member", "", 204, "", Join},
      {"POST", "/{group}/leave", "leaveGroup", Operation::kGroupJoin,
       "One is no member any more, nor invited", "", 204, "", Leave},
  };
  AddRows(rows, resource, "groups", table);
  Route edit = RouteOf({"PATCH", "/{group}", "editGroup", Operation::kGroupEdit,
                        "Changes it; inviting and enrolling need rights of their own", "GroupEdit",
                        200, "Group", Edit},
                       resource, "groups");
  edit.body_bytes_max = 1 << 20;
  table->Add(std::move(edit));
}

}  // namespace strata::vcluster::rest
