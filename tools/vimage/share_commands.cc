// Who may use what: share, unshare, class.
#include <chrono>
#include <fstream>
#include <ostream>

#include "common/printable.h"
#include "tools/cli/human.h"
#include "tools/cli/table.h"
#include "tools/vimage/describe.h"
#include "tools/vimage/unary_call.h"
#include "tools/vimage/vimage.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;
using Stub = api::ImageService::Stub;
using ClassStub = api::ClassService::Stub;

struct ShareArguments {
  std::string reference;
  std::string visibility;
  std::vector<std::string> with;
  std::string until;
  bool keep_secrets = false;
};

// "user:bob", "group:students", "class:os"; without a kind, a user.
Result<api::Grant> ParseGrantee(const std::string& text) {
  api::Grant grant;
  const size_t colon = text.find(':');
  const std::string kind = colon == std::string::npos ? "user" : text.substr(0, colon);
  grant.set_name(colon == std::string::npos ? text : text.substr(colon + 1));
  if (kind == "user") grant.set_kind(api::GRANT_USER);
  if (kind == "group") grant.set_kind(api::GRANT_GROUP);
  if (kind == "class") grant.set_kind(api::GRANT_CLASS);
  if (grant.kind() == api::GRANT_KIND_UNSPECIFIED || grant.name().empty()) {
    return Error(Code::kInvalidArgument,
                 "'" + text + "' is nobody: write user:NAME, group:NAME or class:NAME");
  }
  return grant;
}

Result<int> SendShare(Tool& tool, const api::ShareRequest& request) {
  ASSIGN_OR_RETURN(const api::ShareResponse response, Ask(tool, &Stub::Share, request));
  return Show(tool, response, [&](const auto& shared) {
    tool.console().out << Printable(FullName(shared.image())) << " may be used by "
                       << Printable(SeenBy(shared.image())) << '\n';
  });
}

Result<int> Share(Tool& tool, const ShareArguments& arguments) {
  api::ShareRequest request;
  request.set_reference(arguments.reference);
  request.set_keep_secrets(arguments.keep_secrets);
  if (arguments.visibility == "public") request.set_visibility(api::PUBLIC);
  if (arguments.visibility == "private") request.set_revoke_all(true);
  if (!arguments.until.empty() && arguments.with.empty()) {
    return Error(Code::kInvalidArgument, "--until goes with --with: a public image has no end");
  }
  for (const std::string& grantee : arguments.with) {
    ASSIGN_OR_RETURN(api::Grant grant, ParseGrantee(grantee));
    if (!arguments.until.empty()) {
      ASSIGN_OR_RETURN(const int64_t until, ParseUntil(arguments.until, NowUnixMs()));
      grant.set_expires_unix_ms(until);
    }
    *request.add_add() = std::move(grant);
  }
  return SendShare(tool, request);
}

Result<int> Unshare(Tool& tool, const ShareArguments& arguments) {
  api::ShareRequest request;
  request.set_reference(arguments.reference);
  if (arguments.with.empty()) request.set_revoke_all(true);
  for (const std::string& grantee : arguments.with) {
    ASSIGN_OR_RETURN(*request.add_revoke(), ParseGrantee(grantee));
  }
  return SendShare(tool, request);
}

struct ClassArguments {
  std::string name;
  std::vector<std::string> add;
  std::vector<std::string> remove;
  std::string add_from;
  bool drop = false;
};

void PrintMembers(const api::Class& one, std::ostream& out) {
  out << Printable(one.owner() + "/" + one.name()) << ": " << HumanCount(one.member_count())
      << (one.member_count() == 1 ? " member" : " members");
  std::string separator = ": ";
  for (const std::string& member : one.members()) {
    out << separator << Printable(member);
    separator = ", ";
  }
  out << '\n';
}

Result<int> ListClasses(Tool& tool) {
  ASSIGN_OR_RETURN(const api::ListClassesResponse response,
                   Ask(tool, &ClassStub::List, api::ListClassesRequest()));
  return Show(tool, response, [&](const auto& all) {
    Table table({"CLASS", ">MEMBERS", "MADE"});
    for (const api::Class& one : all.classes()) {
      table.Add({one.owner() + "/" + one.name(), HumanCount(one.member_count()),
                 LocalTime(one.created_unix_ms())});
    }
    table.Print(tool.console().out);
  });
}

Result<int> ChangeClass(Tool& tool, const ClassArguments& arguments) {
  if (arguments.name.empty()) return ListClasses(tool);
  if (arguments.drop) {
    api::DeleteClassRequest request;
    request.set_name(arguments.name);
    ASSIGN_OR_RETURN(const api::DeleteClassResponse response,
                     Ask(tool, &ClassStub::Delete, request));
    return Show(tool, response, [&](const auto&) {
      tool.console().out << Printable(arguments.name) << " is no class any more\n";
    });
  }
  api::ChangeClassRequest request;
  request.set_name(arguments.name);
  for (const std::string& user : arguments.add) request.add_add(user);
  for (const std::string& user : arguments.remove) request.add_remove(user);
  if (!arguments.add_from.empty()) {
    std::ifstream file(arguments.add_from);
    if (!file) return Error(Code::kNotFound, "cannot read " + arguments.add_from);
    for (std::string user; file >> user;) request.add_add(user);
  }
  ASSIGN_OR_RETURN(const api::ChangeClassResponse response, Ask(tool, &ClassStub::Change, request));
  return Show(tool, response,
              [&](const auto& done) { PrintMembers(done.changed(), tool.console().out); });
}

}  // namespace

void AddShareCommands(Tool& tool) {
  auto share = std::make_shared<ShareArguments>();
  CLI::App* command = tool.AddCommand(
      "share", "Let others use an image; without more, say who may",
      "  vimage share tools public\n  vimage share tools --with bob --with group:students\n"
      "  vimage share spark:v1 --with class:os-2026 --until 2027-02-28\n  vimage share tools",
      [&tool, share] { return Share(tool, *share); });
  command->add_option("IMAGE", share->reference, "NAME[:TAG]")->required();
  command->add_option("VISIBILITY", share->visibility, "public: everybody; private: nobody else")
      ->check(CLI::IsMember({"public", "private"}));
  command->add_option("--with", share->with, "[user:]NAME, group:NAME or class:NAME; repeatable")
      ->allow_extra_args(false);
  command->add_option("--until", share->until,
                      "Ends then: 2026-12-24, '2026-12-24 18:00', 30d, 12h");

  command->add_flag("--keep-secrets", share->keep_secrets,
                    "Also when containers left keys, tokens or histories in it");

  CLI::App* unshare =
      tool.AddCommand("unshare", "Take a right back: of some, or of everybody but you",
                      "  vimage unshare tools --with bob\n  vimage unshare tools",
                      [&tool, share] { return Unshare(tool, *share); });
  unshare->add_option("IMAGE", share->reference, "NAME[:TAG]")->required();
  unshare->add_option("--with", share->with, "[user:]NAME, group:NAME or class:NAME; repeatable")
      ->allow_extra_args(false);

  auto arguments = std::make_shared<ClassArguments>();
  CLI::App* change = tool.AddCommand(
      "class", "Lists of users to share with; without a name, the classes you keep or are in",
      "  vimage class os-2026 --add bob --add carol\n  vimage class os-2026 --add-from roster.txt\n"
      "  vimage class os-2026 --remove bob\n  vimage class",
      [&tool, arguments] { return ChangeClass(tool, *arguments); });
  change->add_option("CLASS", arguments->name, "[OWNER/]NAME");
  change->add_option("--add", arguments->add, "A user; repeatable")->allow_extra_args(false);
  change->add_option("--add-from", arguments->add_from, "A file of user names, one after another");
  change->add_option("--remove", arguments->remove, "A user; repeatable")->allow_extra_args(false);
  change->add_flag("--delete", arguments->drop, "No class any more: what it was given, it loses");
}

}  // namespace strata::tools
