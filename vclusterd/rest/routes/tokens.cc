// Tokens: sessions and those of programs.
#include "vclusterd/rest/routes/account_json.h"
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/routes.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;

constexpr int64_t kLifeDefaultS = 30 * 86'400;

Result<Reply> List(Exchange& exchange) {
  uint32_t uid = exchange.caller.uid;
  if (const auto word = exchange.Asked<std::string>("user", ""); !word.empty()) {
    ASSIGN_OR_RETURN(uid, UserIn(exchange, word, Operation::kTokenList));
  }
  RETURN_IF_ERROR(exchange.services.users.Authorize(exchange.caller, Operation::kTokenList,
                                                    UserTarget(exchange, uid)));
  Json list = Json::array();
  for (const TokenPtr& token : exchange.services.users.tokens().Of(uid)) {
    list.push_back(ToJson(*token));
  }
  return Answer({{"tokens", std::move(list)}});
}

Result<Reply> Create(Exchange& exchange) {
  NewToken wanted;
  wanted.kind = users::v1::API;
  wanted.name = exchange.Given<std::string>("name", "");
  wanted.life_ms = exchange.Given<int64_t>("life_s", kLifeDefaultS) * kSecondMs;
  if (const auto names = exchange.body.find("operations"); names != exchange.body.end()) {
    wanted.scope.operations = OperationSet();
    for (const Json& name : *names) {
      const auto operation = ParseOperation(name.get<std::string>());
      if (!operation) {
        return Error(Code::kInvalidArgument,
                     "there is no operation '" + name.get<std::string>() + "' (docs/users.md)");
      }
      wanted.scope.operations.Add(*operation);
    }
  }
  std::string vcluster = exchange.Given<std::string>("vcluster", "");
  if (!vcluster.empty() && vcluster.find_first_of("/:") == std::string::npos) {
    vcluster = exchange.services.users.NameOf(exchange.caller.uid) + "/" + vcluster;
  }
  if (const size_t colon = vcluster.find(':'); colon != std::string::npos) vcluster[colon] = '/';
  wanted.scope.vcluster = vcluster;
  ASSIGN_OR_RETURN(const MadeToken made,
                   exchange.services.users.CreateToken(exchange.caller, std::move(wanted)));
  return Answer(ToJson(made), 201);
}

Result<Reply> Revoke(Exchange& exchange) {
  RETURN_IF_ERROR(exchange.services.users.RevokeToken(exchange.caller, exchange.path.at("token")));
  return NoContent();
}

}  // namespace

void AddTokenRoutes(RouteTable* table) {
  table->AddSchema("Token", TokenSchema());
  table->AddSchema("MadeToken", MadeTokenSchema());
  table->AddSchema("TokenList",
                   Members("Tokens.").Must("tokens", ListOf(Ref("Token"), "Oldest first.")));
  table->AddSchema(
      "NewToken",
      Members("A token to make.")
          .Must("name", Text("What it is for.", 100))
          .May("life_s", Whole("How long it lives (30 days).", 1, 366 * 86'400))
          .May("operations", ListOf(Text("vcluster.list", 64),
                                    "It is for these alone (all that its user may).", kOperations))
          .May("vcluster", Text("It is for this one alone: NAME or OWNER/NAME.")));
  Route list{"GET", "/v1/tokens", "listTokens", "tokens", "One's own; or of another"};
  list.operation = Operation::kTokenList;
  list.query = {{"user", Text("Whose.")}};
  list.answers = {{200, "TokenList"}};
  list.handle = List;
  table->Add(std::move(list));
  Route create{"POST", "/v1/tokens", "createToken", "tokens", "Makes one for a program"};
  create.operation = Operation::kTokenCreate;
  create.body = BodyKind::kJson;
  create.request = "NewToken";
  create.answers = {{201, "MadeToken"}};
  create.handle = Create;
  table->Add(std::move(create));
  Route revoke{"DELETE", "/v1/tokens/{token}", "revokeToken", "tokens", "Ends it, by its id"};
  revoke.operation = Operation::kTokenRevoke;
  revoke.answers = {{204, ""}};
  revoke.handle = Revoke;
  table->Add(std::move(revoke));
}

}  // namespace strata::vcluster::rest
