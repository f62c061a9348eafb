// The audit log: who changed what, and who was refused what.
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/routes.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;

Json ToJson(const users::v1::AuditEvent& event) {
  Json json = {{"number", event.number()},       {"time_unix_ms", event.time_unix_ms()},
               {"request", event.request()},     {"uid", event.uid()},
               {"user", event.user()},           {"via", event.via()},
               {"source", event.source()},       {"token", event.token()},
               {"operation", event.operation()}, {"object", event.object()},
               {"detail", event.detail()},       {"outcome", event.outcome()},
               {"error", event.error()},         {"left_out", event.left_out()}};
  if (event.owned()) json["owner_uid"] = event.owner_uid();
  return json;
}

Result<Reply> List(Exchange& exchange) {
  AuditQuery query;
  if (const auto user = exchange.Asked<std::string>("user", ""); !user.empty()) {
    ASSIGN_OR_RETURN(const uint32_t uid, UserIn(exchange, user, Operation::kAuditRead));
    query.uid = uid;
  }
  query.object = exchange.Asked<std::string>("object", "");
  query.operation = exchange.Asked<std::string>("operation", "");
  query.after = exchange.Asked<uint64_t>("after", 0);
  query.since_unix_ms = exchange.Asked<int64_t>("since_unix_ms", 0);
  query.until_unix_ms = exchange.Asked<int64_t>("until_unix_ms", INT64_MAX);
  query.last = exchange.Asked<size_t>("last", 1000);
  query.before = exchange.Asked<uint64_t>("before", UINT64_MAX);
  ASSIGN_OR_RETURN(const AuditLog::Found found,
                   exchange.services.users.Events(exchange.caller, query));
  Json answer = {{"events", Json::array()}};
  for (const users::v1::AuditEvent& event : found.events) {
    answer["events"].push_back(ToJson(event));
  }
  if (found.reached != 0) answer["reached"] = found.reached;
  return Answer(std::move(answer));
}

}  // namespace

void AddAuditRoutes(RouteTable* table) {
  const Json event = Members("What somebody did, or was refused.")
                         .Must("number", Whole("Ascending."))
                         .Must("time_unix_ms", Whole("When."))
                         .Must("request", Text("As in the log of the host."))
                         .Must("uid", Whole("Who; of a failed sign-in nobody."))
                         .Must("user", Text("His name then."))
                         .Must("via", Text("socket, rest, …"))
                         .Must("source", Text("The address that he came from."))
                         .Must("token", Text("The id of the token that he showed."))
                         .Must("operation", Text("What."))
                         .Must("object", Text("To what.", 2000))
                         .May("owner_uid", Whole("Whose that is."))
                         .Must("detail", Text("More of it.", 100'000))
                         .Must("outcome", Text("ok, or what went wrong."))
                         .Must("error", Text("The same for people.", 100'000))
                         .Must("left_out", Whole("Refusals before it that were not written."));
  table->AddSchema("AuditEvents",
                   Members("Events.")
                       .Must("events", ListOf(event, "Oldest first."))
                       .May("reached", Whole("Earlier events were not looked at, because that "
                                             "takes too long: ask again with before= this.")));
  Route route{"GET", "/v1/audit", "listAuditEvents", "audit",
              "What one did, and others to what is one's own; admins see all"};
  route.operation = Operation::kAuditRead;
  route.query = {{"user", Text("Who did it.")},
                 {"object", Text("To what: alice/hpc, alice, group os.")},
                 {"operation", Text("What: vcluster.create.")},
                 {"after", Whole("Only events with higher numbers.")},
                 {"before", Whole("Only events with lower numbers.", 1)},
                 {"since_unix_ms", Whole("Not earlier.")},
                 {"until_unix_ms", Whole("Not later.")},
                 {"last", Whole("The latest so many (1000).", 1, AuditLog::kEventsPerQueryMax)}};
  route.answers = {{200, "AuditEvents"}};
  route.exhausted_status = 429;
  route.handle = List;
  table->Add(std::move(route));
}

}  // namespace strata::vcluster::rest
