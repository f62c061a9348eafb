// Tokens for programs: token list, create, revoke.
#include <ostream>

#include "common/printable.h"
#include "tools/cli/human.h"
#include "tools/cli/table.h"
#include "tools/vcluster/account_commands.h"

namespace strata::tools {
namespace {

namespace api = accounts::v1;
using Stub = api::UserService::Stub;

struct CreateArguments {
  std::string name;
  std::string until = "30d";
  std::string vcluster;
  std::vector<std::string> operations;
};

const char* KindWord(users::v1::TokenKind kind) {
  if (kind == users::v1::SESSION) return "session";
  return kind == users::v1::NODE ? "node" : "program";
}

// "everything", "vcluster.list, vcluster.start on alice/hpc"
std::string MayText(const api::TokenInfo& token) {
  std::string text = token.everything() ? "everything" : "";
  for (const std::string& operation : token.operations()) {
    text += (text.empty() ? "" : ", ") + operation;
  }
  return token.vcluster().empty() ? text : text + " on " + token.vcluster();
}

Result<int> List(Tool& tool, const std::string& user) {
  api::ListTokensRequest request;
  request.set_user(user);
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::ListTokens, request));
  return Show(tool, list, [&](const api::TokenList& tokens) {
    Table table({"ID", "KIND", "NAME", "MAY", "MADE", "UNTIL", "LAST USED"});
    for (const api::TokenInfo& token : tokens.tokens()) {
      table.Add({token.id(), KindWord(token.kind()), token.name(), MayText(token),
                 LocalTime(token.created_unix_ms()), LocalTime(token.expires_unix_ms()),
                 token.used_unix_ms() == 0 ? "-" : LocalTime(token.used_unix_ms())});
    }
    table.Print(tool.console().out);
  });
}

Result<int> Create(Tool& tool, const CreateArguments& arguments) {
  api::CreateTokenRequest request;
  request.set_name(arguments.name);
  const int64_t now = NowUnixMs();
  ASSIGN_OR_RETURN(const int64_t until, ParseUntil(arguments.until, now), "--until");
  request.set_life_ms(until - now);
  request.set_vcluster(arguments.vcluster);
  request.mutable_operations()->Assign(arguments.operations.begin(), arguments.operations.end());
  ASSIGN_OR_RETURN(const auto response, Ask(tool, &Stub::CreateToken, request));
  return Show(tool, response, [&](const api::CreateTokenResponse& made) {
    tool.console().out << made.text() << '\n';
    tool.Complain("keep it: it is not shown again; it is good until " +
                  LocalTime(made.token().expires_unix_ms()));
  });
}

Result<int> Revoke(Tool& tool, const std::string& id) {
  api::RevokeTokenRequest request;
  request.set_id(id);
  ASSIGN_OR_RETURN(const auto list, Ask(tool, &Stub::RevokeToken, request));
  return Show(tool, list, [&](const api::TokenList&) {
    tool.console().out << Printable(id) << " is good no more\n";
  });
}

}  // namespace

void AddTokenCommands(Tool& tool) {
  CLI::App* group = tool.AddGroup("token", "What programs show instead of your password");
  auto user = std::make_shared<std::string>();
  CLI::App* list = tool.AddCommand(
      "list", "Those that are good", "  vcluster token list\n  vcluster token list --user alice",
      [&tool, user] { return List(tool, *user); }, group);
  list->add_option("--user", *user, "Another's, as an admin");

  auto arguments = std::make_shared<CreateArguments>();
  CLI::App* create = tool.AddCommand(
      "create", "Make one, for yourself; its text is shown once",
      "  vcluster token create ci --until 90d\n"
      "  vcluster token create grow --operation vcluster.scale --vcluster spark",
      [&tool, arguments] { return Create(tool, *arguments); }, group);
  create->add_option("NAME", arguments->name, "What you call it")->required();
  create->add_option("--until", arguments->until, "When it ends: 2026-12-24, 30d, 12h")
      ->capture_default_str();
  create->add_option(
      "--operation", arguments->operations,
      "Only for this, as vcluster.list; may be repeated (docs/users.md, \"Rights\")");
  create->add_option("--vcluster", arguments->vcluster, "Only for [OWNER/]NAME");

  auto id = std::make_shared<std::string>();
  CLI::App* revoke = tool.AddCommand(
      "revoke", "End one, at once", "  vcluster token revoke 0123456789abcdef",
      [&tool, id] { return Revoke(tool, *id); }, group);
  revoke->add_option("ID", *id, "As 'vcluster token list' shows it")->required();
}

}  // namespace strata::tools
