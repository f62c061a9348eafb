// Groups of users: group list, show, add, edit, invite, enrol, join, leave, remove, owner, delete.
#include <ostream>

#include "common/file_io.h"
#include "common/printable.h"
#include "tools/cli/human.h"
#include "tools/cli/table.h"
#include "tools/vcluster/account_commands.h"
#include "tools/vcluster/account_words.h"
#include "vclusterd/definition/roster.h"

namespace strata::tools {
namespace {

namespace api = accounts::v1;
using Stub = api::UserService::Stub;
using People = std::vector<std::string>;

struct Arguments {
  std::string group;
  std::string description;
  People users;
  std::string roster;
  People add;
  People remove;
};

void PrintInFull(const api::GroupList& list, std::ostream& out) {
  for (const api::GroupInfo& group : list.groups()) {
    out << "group        " << Printable(group.name()) << " (" << group.number() << ")\n";
    out << "description  " << Printable(group.description()) << '\n';
    out << "made         " << LocalTime(group.created_unix_ms()) << '\n';
    out << "you are      " << (group.my_part().empty() ? "not in it" : Printable(group.my_part()))
        << '\n';
    out << "owners       " << Printable(Names(group.owners()), 1u << 20) << '\n';
    if (!group.sees_members()) continue;
    out << "members      " << Printable(Names(group.members()), 1u << 20) << '\n';
    out << "invited      " << Printable(Names(group.invited()), 1u << 20) << '\n';
  }
}

Result<int> ShowGroups(Tool& tool, const api::GroupList& list) {
  return Show(tool, list,
              [&](const api::GroupList& groups) { PrintInFull(groups, tool.console().out); });
}

Result<int> List(Tool& tool) {
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::ListGroups, api::ListGroupsRequest()));
  return Show(tool, list, [&](const api::GroupList& groups) {
    Table table({"GROUP", "YOU ARE", "OWNERS", "DESCRIPTION"});
    for (const api::GroupInfo& group : groups.groups()) {
      table.Add({group.name(), group.my_part().empty() ? "-" : group.my_part(),
                 Names(group.owners()), group.description()});
    }
    table.Print(tool.console().out);
  });
}

Result<int> ShowGroup(Tool& tool, const std::string& name) {
  api::ListGroupsRequest request;
  request.set_group(name);
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::ListGroups, request));
  return ShowGroups(tool, list);
}

Result<int> Add(Tool& tool, const Arguments& arguments) {
  api::AddGroupRequest request;
  request.set_name(arguments.group);
  request.set_description(arguments.description);
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::AddGroup, request));
  return ShowGroups(tool, list);
}

Result<int> Change(Tool& tool, const api::EditGroupRequest& request) {
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::EditGroup, request));
  return ShowGroups(tool, list);
}

api::EditGroupRequest ChangeOf(const Arguments& arguments) {
  api::EditGroupRequest request;
  request.set_group(arguments.group);
  return request;
}

void SetAll(const People& people, google::protobuf::RepeatedPtrField<std::string>* out) {
  out->Assign(people.begin(), people.end());
}

Result<int> Describe(Tool& tool, const Arguments& arguments) {
  api::EditGroupRequest request = ChangeOf(arguments);
  request.set_description(arguments.description);
  return Change(tool, request);
}

Result<int> Invite(Tool& tool, const Arguments& arguments) {
  api::EditGroupRequest request = ChangeOf(arguments);
  SetAll(arguments.users, request.mutable_invite());
  return Change(tool, request);
}

Result<int> Remove(Tool& tool, const Arguments& arguments) {
  api::EditGroupRequest request = ChangeOf(arguments);
  SetAll(arguments.users, request.mutable_remove());
  return Change(tool, request);
}

Result<int> ChangeOwners(Tool& tool, const Arguments& arguments) {
  if (arguments.add.empty() && arguments.remove.empty()) {
    return Error(Code::kInvalidArgument, "say --add USER or --remove USER");
  }
  api::EditGroupRequest request = ChangeOf(arguments);
  SetAll(arguments.add, request.mutable_add_owners());
  SetAll(arguments.remove, request.mutable_remove_owners());
  return Change(tool, request);
}

// Accounts for those of a roster who have none. A repetition goes on where this broke off.
Result<People> AddMissing(Tool& tool, const std::vector<vcluster::RosterEntry>& roster) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Stub stub(channel);
  People users;
  size_t added = 0;
  for (const vcluster::RosterEntry& entry : roster) {
    api::AddUserRequest request;
    request.set_name(entry.user);
    request.set_real_name(entry.name);
    request.set_mail(entry.mail);
    Call call;
    api::UserList made;
    const grpc::Status status = stub.AddUser(call.context(), request, &made);
    if (status.ok()) ++added;
    // Also a user of the host, who needs none.
    if (!status.ok() && status.error_code() != grpc::StatusCode::ALREADY_EXISTS) {
      return CallError(status, Daemon::kVclusterd).Wrap("user '" + Printable(entry.user, 64) + "'");
    }
    users.push_back(entry.user);
  }
  if (added > 0) {
    tool.Complain(std::to_string(added) +
                  " accounts are new and have no password yet: vcluster user passwd USER");
  }
  return users;
}

Result<int> Enrol(Tool& tool, const Arguments& arguments) {
  People users = arguments.users;
  if (!arguments.roster.empty()) {
    const bool from_stdin = arguments.roster == "-";
    ASSIGN_OR_RETURN(const std::string text,
                     from_stdin ? ReadAll(tool.console().stdin_fd, vcluster::kRosterBytesMax)
                                : ReadFile(arguments.roster, vcluster::kRosterBytesMax));
    ASSIGN_OR_RETURN(
        const auto roster,
        vcluster::ParseRoster(text, from_stdin ? "the roster" : Printable(arguments.roster),
                              vcluster::RosterHeader::kOptional));
    // Before any account is made.
    api::ListGroupsRequest request;
    request.set_group(arguments.group);
    RETURN_IF_ERROR(Ask(tool, &Stub::ListGroups, request));
    ASSIGN_OR_RETURN(const People listed, AddMissing(tool, roster));
    users.insert(users.end(), listed.begin(), listed.end());
  }
  if (users.empty()) return Error(Code::kInvalidArgument, "say USER… or --roster FILE.csv");
  api::EditGroupRequest request = ChangeOf(arguments);
  SetAll(users, request.mutable_enrol());
  return Change(tool, request);
}

using GroupMethod = grpc::Status (Stub::*)(grpc::ClientContext*, const api::GroupRequest&,
                                           api::GroupList*);

// `done`: what follows the group's name.
Result<int> Do(Tool& tool, const Arguments& arguments, GroupMethod method, const char* done) {
  api::GroupRequest request;
  request.set_group(arguments.group);
  ASSIGN_OR_RETURN(const auto list, Ask(tool, method, request));
  return Show(tool, list, [&](const api::GroupList&) {
    tool.console().out << Printable(arguments.group) << ": " << done << '\n';
  });
}

}  // namespace

void AddGroupCommands(Tool& tool) {
  CLI::App* group = tool.AddGroup("group", "Groups of users: who owns one teaches its members");
  auto arguments = std::make_shared<Arguments>();
  tool.AddCommand(
      "list", "The groups that you may know of", "  vcluster group list",
      [&tool] { return List(tool); }, group);
  const auto command = [&](const char* name, const char* description, const char* example,
                           Tool::Action action) {
    CLI::App* added = tool.AddCommand(name, description, example, std::move(action), group);
    added->add_option("GROUP", arguments->group, "Which")->required();
    return added;
  };
  const auto with_users = [&](CLI::App* app) {
    return app->add_option("USER", arguments->users, "Who");
  };
  command("show", "Everything about one; its owners see who is in it", "  vcluster group show os",
          [&tool, arguments] { return ShowGroup(tool, arguments->group); });
  command("add", "Make one, which you own (teachers)",
          "  vcluster group add os --description 'Operating systems, spring'",
          [&tool, arguments] { return Add(tool, *arguments); })
      ->add_option("--description", arguments->description, "What it is for");
  command("edit", "Change its description", "  vcluster group edit os --description 'Autumn'",
          [&tool, arguments] { return Describe(tool, *arguments); })
      ->add_option("--description", arguments->description, "What it is for")
      ->required();
  with_users(command("invite", "Ask users to join; members they are when they say so",
                     "  vcluster group invite os alice bob",
                     [&tool, arguments] { return Invite(tool, *arguments); }))
      ->required();
  CLI::App* enrol = command("enrol", "Make users members without asking them (admins)",
                            "  vcluster group enrol os alice bob\n"
                            "  vcluster group enrol os --roster os.csv   # lines: user,name,mail",
                            [&tool, arguments] { return Enrol(tool, *arguments); });
  with_users(enrol);
  enrol->add_option("--roster", arguments->roster,
                    "A CSV file of user,name,mail; who has no account gets one; -: standard input");
  command("join", "Accept an invitation: its owners may look into your Vclusters",
          "  vcluster group join os", [&tool, arguments] {
            return Do(tool, *arguments, &Stub::JoinGroup, "you are a member");
          });
  command(
      "leave", "Leave it, or decline its invitation", "  vcluster group leave os",
      [&tool, arguments] { return Do(tool, *arguments, &Stub::LeaveGroup, "you are no member"); });
  with_users(command("remove", "Take members and invited users out",
                     "  vcluster group remove os alice",
                     [&tool, arguments] { return Remove(tool, *arguments); }))
      ->required();
  CLI::App* owner = command("owner", "Change who owns it", "  vcluster group owner os --add tina",
                            [&tool, arguments] { return ChangeOwners(tool, *arguments); });
  owner->add_option("--add", arguments->add, "Another owner; may be repeated");
  owner->add_option("--remove", arguments->remove, "Owns it no more; may be repeated");
  command("delete", "Delete it, with its limits; its members stay users",
          "  vcluster group delete os",
          [&tool, arguments] { return Do(tool, *arguments, &Stub::DeleteGroup, "deleted"); });
}

}  // namespace strata::tools
