// What takes longer than a request: how far it is, its end, and its cancellation.
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/routes.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;

Result<OperationView> OperationIn(const Exchange& exchange) {
  const auto view = exchange.services.operations.Find(exchange.path.at("operation"));
  if (!view || !MaySee(exchange.services.users, exchange.caller, *view)) {
    return Error(Code::kNotFound, "there is no such operation, or it ended long ago");
  }
  return *view;
}

Result<Reply> List(Exchange& exchange) {
  Json list = Json::array();
  for (const OperationView& view : exchange.services.operations.All()) {
    if (exchange.Asked("running", false) && view.ended()) continue;
    if (MaySee(exchange.services.users, exchange.caller, view)) list.push_back(ToJson(view));
  }
  return Answer({{"operations", std::move(list)}});
}

Result<Reply> Get(Exchange& exchange) {
  ASSIGN_OR_RETURN(OperationView view, OperationIn(exchange));
  ASSIGN_OR_RETURN(const std::chrono::milliseconds wait, WaitOf(exchange));
  if (wait.count() > 0) {
    view = exchange.services.operations.Await(view.id, wait).value_or(view);
  }
  return Answer(ToJson(view));
}

Result<Reply> Cancel(Exchange& exchange) {
  ASSIGN_OR_RETURN(const OperationView view, OperationIn(exchange));
  OperationBook& book = exchange.services.operations;
  RETURN_IF_ERROR(book.Cancel(view.id));
  return Answer(ToJson(book.Find(view.id).value_or(view)), 202);
}

}  // namespace

void AddOperationRoutes(RouteTable* table) {
  table->AddSchema(
      "OperationList",
      Members("Operations.").Must("operations", ListOf(Ref("Operation"), "Oldest first.")));
  Route list{"GET", "/v1/operations", "listOperations", "operations", "One's own; admins see all"};
  list.query = {{"running", Flag("Only those that have not ended (false).")}};
  list.answers = {{200, "OperationList"}};
  list.handle = List;
  table->Add(std::move(list));
  Route get{"GET", "/v1/operations/{operation}", "getOperation", "operations",
            "How far it is, or how it ended"};
  get.query = {WaitParameter()};
  get.answers = {{200, "Operation"}};
  get.handle = Get;
  table->Add(std::move(get));
  Route cancel{"DELETE", "/v1/operations/{operation}", "cancelOperation", "operations",
               "Has it stop; what it has made is taken away"};
  cancel.answers = {{202, "Operation"}};
  cancel.handle = Cancel;
  table->Add(std::move(cancel));
}

}  // namespace strata::vcluster::rest
