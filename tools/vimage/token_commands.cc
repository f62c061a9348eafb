// Passwords for this host's registry: token create, list, revoke.
#include <chrono>
#include <ostream>

#include "common/printable.h"
#include "imaged/api/registry.grpc.pb.h"
#include "tools/cli/human.h"
#include "tools/cli/table.h"
#include "tools/vimage/unary_call.h"
#include "tools/vimage/vimage.h"

namespace strata::tools {
namespace {

namespace api = imaged::v1;
using Stub = api::RegistryService::Stub;

struct CreateArguments {
  std::string name;
  std::string until;
  bool read_only = false;
};

int64_t NowUnixMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Result<int> Create(Tool& tool, const CreateArguments& arguments) {
  api::CreateTokenRequest request;
  request.set_name(arguments.name);
  request.set_read_only(arguments.read_only);
  if (!arguments.until.empty()) {
    ASSIGN_OR_RETURN(const int64_t until, ParseUntil(arguments.until, NowUnixMs()));
    request.set_expires_unix_ms(until);
  }
  ASSIGN_OR_RETURN(const api::CreateTokenResponse response, Ask(tool, &Stub::Create, request));
  return Show(tool, response, [&](const api::CreateTokenResponse& created) {
    tool.console().out << created.secret() << '\n';
    tool.Complain("keep it: it is not shown again; podman login -u " +
                  Printable(created.token().user()) + " takes it as the password until " +
                  LocalTime(created.token().expires_unix_ms()));
  });
}

Result<int> List(Tool& tool, bool all_users) {
  api::ListTokensRequest request;
  request.set_all_users(all_users);
  ASSIGN_OR_RETURN(const api::ListTokensResponse response, Ask(tool, &Stub::List, request));
  return Show(tool, response, [&](const api::ListTokensResponse& list) {
    Table table({"ID", "USER", "NAME", "MAY", "CREATED", "UNTIL", "LAST USED"});
    for (const api::RegistryToken& token : list.tokens()) {
      table.Add({token.id(), token.user(), token.name(), token.read_only() ? "pull" : "pull, push",
                 LocalTime(token.created_unix_ms()), LocalTime(token.expires_unix_ms()),
                 token.last_used_unix_ms() == 0 ? "-" : LocalTime(token.last_used_unix_ms())});
    }
    table.Print(tool.console().out);
  });
}

Result<int> Revoke(Tool& tool, const std::string& id) {
  api::RevokeTokenRequest request;
  request.set_id(id);
  ASSIGN_OR_RETURN(const api::RevokeTokenResponse response, Ask(tool, &Stub::Revoke, request));
  return Show(tool, response, [&](const api::RevokeTokenResponse& revoked) {
    tool.console().out << Printable(revoked.token().id()) << " of "
                       << Printable(revoked.token().user()) << " is good no more\n";
  });
}

}  // namespace

void AddTokenCommands(Tool& tool) {
  CLI::App* group = tool.AddGroup("token", "Passwords for this host's registry");
  auto arguments = std::make_shared<CreateArguments>();
  CLI::App* command = tool.AddCommand(
      "create", "Make one, for yourself",
      "  vimage token create --name laptop --until 90d\n"
      "  vimage token create --read-only | podman login -u $USER --password-stdin host-a:5000",
      [&tool, arguments] { return Create(tool, *arguments); }, group);
  command->add_option("--name", arguments->name, "What you call it");
  command->add_flag("--read-only", arguments->read_only, "It may pull and not push");
  command->add_option("--until", arguments->until,
                      "When it ends: 2026-12-24, 30d, 12h (default: in a year)");

  auto all_users = std::make_shared<bool>(false);
  command = tool.AddCommand(
      "list", "Show yours", "  vimage token list",
      [&tool, all_users] { return List(tool, *all_users); }, group);
  command->add_flag("--all-users", *all_users, "Everybody's (as root)");

  auto id = std::make_shared<std::string>();
  command = tool.AddCommand(
      "revoke", "End one, at once", "  vimage token revoke 0123456789abcdef",
      [&tool, id] { return Revoke(tool, *id); }, group);
  command->add_option("ID", *id, "As 'vimage token list' shows it")->required();
}

}  // namespace strata::tools
