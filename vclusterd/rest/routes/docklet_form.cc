#include "vclusterd/rest/routes/docklet_form.h"

#include <algorithm>

#include "common/printable.h"
#include "vclusterd/api/account_words.h"
#include "vclusterd/rest/problem.h"
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/routes.h"

namespace strata::vcluster::rest {
namespace docklet {
namespace {

using namespace schema;

Reply Failure(const std::string& message) {
  return Answer({{"success", "false"}, {"message", message}});
}

// Who shows the token of the form, or of the head.
Status Recognize(Exchange* exchange) {
  if (exchange->signed_in) return Ok();
  const std::string token = Field(*exchange, "token");
  if (token.empty()) return Error(Code::kPermissionDenied, "user or key is null");
  auto caller = exchange->services.users.CallerOf(token, "rest", exchange->caller.source);
  if (!caller.ok()) return Error(Code::kPermissionDenied, "token failed or expired");
  exchange->caller = std::move(*caller);
  exchange->signed_in = true;
  return Ok();
}

Result<Reply> Serve(Exchange& exchange, bool for_strangers, const Handle& handle) {
  if (!for_strangers) {
    if (Status known = Recognize(&exchange); !known.ok()) {
      Reply reply = Failure(known.error().message());
      reply.body["Unauthorized"] = "True";
      return reply;
    }
  }
  Result<Json> done = handle(exchange);
  // The text that a problem would have: what is ours stays in the log.
  if (!done.ok()) return Failure(ProblemJson(done.error()).at("detail").get<std::string>());
  Json answer = {{"success", "true"}};
  answer.update(*done);
  return Answer(std::move(answer));
}

Result<Json> Login(Exchange& exchange) {
  ASSIGN_OR_RETURN(const std::string user, NeededField(exchange, "user"));
  ASSIGN_OR_RETURN(const std::string key, NeededField(exchange, "key"));
  ASSIGN_OR_RETURN(const MadeToken made,
                   exchange.services.users.SignInWithPassword(user, key, exchange.caller.source));
  const uint32_t uid = made.token->record.uid();
  const auto role = exchange.services.users.accounts().RoleOf(uid).value_or(users::v1::USER);
  return Json{
      {"action", "login"},
      {"data",
       {{"token", made.text}, {"username", user}, {"status", "normal"}, {"group", WordOf(role)}}}};
}

}  // namespace

std::string Field(const Exchange& exchange, const char* name) {
  return exchange.Given<std::string>(name, "");
}

Result<std::string> NeededField(const Exchange& exchange, const char* name) {
  std::string value = Field(exchange, name);
  if (value.empty()) return Error(Code::kInvalidArgument, std::string(name) + " is null");
  return value;
}

Route MakeRoute(const std::string& path, const std::string& id, std::optional<Operation> right,
                const std::string& summary, Handle handle) {
  Route route{"POST", path, id, "docklet", summary};
  route.access = Access::kOpen;  // Its token is in the form.
  route.operation = right;
  route.body = BodyKind::kForm;
  route.request = "DockletForm";
  route.answers = {{200, "DockletAnswer"}};
  route.handle = [for_strangers = !right.has_value(), handle = std::move(handle)](
                     Exchange& exchange) { return Serve(exchange, for_strangers, handle); };
  return route;
}

Result<Json> DoWithin(Exchange& exchange, Result<OperationBook::Order> ordered,
                      const std::string& action, const std::string& message) {
  ASSIGN_OR_RETURN(OperationBook::Order order, std::move(ordered));
  ASSIGN_OR_RETURN(const std::chrono::milliseconds wait,
                   ParseWait(Field(exchange, "wait"), kWaitMax));
  OperationBook& book = exchange.services.operations;
  ASSIGN_OR_RETURN(OperationView view, book.Start(exchange.caller, std::move(order)));
  view = book.Await(view.id, wait).value_or(view);
  if (view.error) return *view.error;
  if (view.ended()) return Json{{"action", action}, {"message", message}};
  const std::string address = "/v1/operations/" + view.id;
  return Json{{"success", "false"},
              {"action", action},
              {"message", "it is not done yet and goes on: GET " + address + " says how far it is"},
              {"operation", address}};
}

std::string ContainerName(const NodeView& node) {
  std::string name = node.name;
  std::replace(name.begin(), name.end(), '/', ':');
  return name;
}

Result<NodeView> NodeOf(const ClusterView& view, const std::string& words) {
  for (const NodeView& node : view.nodes) {
    const bool is_meant = words == node.name || words == ContainerName(node) ||
                          words == node.hostname || view.name + "/" + words == node.name;
    if (is_meant) return node;
  }
  return Error(Code::kNotFound,
               "cluster " + view.name + " has no container '" + Printable(words) + "'");
}

}  // namespace docklet

void AddDockletRoutes(RouteTable* table) {
  using namespace schema;
  Members form("Docklet's fields; others are passed over.");
  form.May("token", Text("Who calls.", 200));
  form.May("wait", Text("How long the answer may take: 30s, up to 60s (60s).", 20));
  for (const char* name : {"user", "key"}) form.May(name, Text("Of /login/.", 1024));
  for (const char* name : {"clustername", "containername", "image", "imagename", "imageowner",
                           "imagetype", "description", "isforce"}) {
    form.May(name, Text("As Docklet's.", 2000));
  }
  Json form_schema = form;
  form_schema["additionalProperties"] = true;
  table->AddSchema("DockletForm", std::move(form_schema));
  Json answer = Members("Docklet's answer.")
                    .Must("success", Word("Whether it was done.", {"true", "false"}))
                    .May("message", Json{{"description", "Why not, or what there is to say."}})
                    .May("action", Text("What was done."))
                    .May("operation", Text("What is not done yet: its address in the modern API."));
  answer["additionalProperties"] = true;
  table->AddSchema("DockletAnswer", std::move(answer));
  Route login = docklet::MakeRoute("/login/", "dockletLogin", std::nullopt, "Signs in: user, key",
                                   docklet::Login);
  table->Add(std::move(login));
  docklet::AddClusterRoutes(table);
  docklet::AddMonitorRoutes(table);
  docklet::AddAbsentRoutes(table);
}

}  // namespace strata::vcluster::rest
