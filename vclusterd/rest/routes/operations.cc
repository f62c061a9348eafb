// What takes longer than a request: how far it is, its end, and its cancellation.
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/routes.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;

constexpr int64_t kListDefault = 100;
constexpr int64_t kListMax = 1000;

Result<OperationView> OperationIn(const Exchange& exchange) {
  const auto view = exchange.services.operations.Find(exchange.path.at("operation"));
  if (!view || !MaySee(exchange.services.users, exchange.caller, *view)) {
    return Error(Code::kNotFound, "there is no such operation, or it ended long ago");
  }
  return *view;
}

Result<Reply> List(Exchange& exchange) {
  OperationCursor after;
  if (const auto text = exchange.Asked<std::string>("after", ""); !text.empty()) {
    ASSIGN_OR_RETURN(after, OperationCursor::Parse(text));
  }
  const auto limit = static_cast<size_t>(exchange.Asked<int64_t>("limit", kListDefault));
  const bool running = exchange.Asked("running", false);
  const auto wanted = [&](const OperationView& view) {
    return !(running && view.ended()) && MaySee(exchange.services.users, exchange.caller, view);
  };
  std::vector<OperationPtr> page = exchange.services.operations.Page(after, limit + 1, wanted);
  const bool more = page.size() > limit;
  if (more) page.pop_back();
  Json answer = {{"operations", Json::array()}};
  for (const OperationPtr& view : page) {
    answer["operations"].push_back(ToJson(*view, /*with_result=*/false));
  }
  if (more) {
    const OperationView& last = *page.back();
    answer["next"] = OperationCursor{last.created_unix_ms, last.id}.ToString();
  }
  return Answer(std::move(answer));
}

Result<Reply> Get(Exchange& exchange) {
  ASSIGN_OR_RETURN(OperationView view, OperationIn(exchange));
  ASSIGN_OR_RETURN(const std::chrono::milliseconds wait, WaitOf(exchange));
  if (wait.count() > 0) {
    view = exchange.services.operations.Await(view.id, wait).value_or(view);
  }
  return Answer(ToJson(view, /*with_result=*/true));
}

Result<Reply> Cancel(Exchange& exchange) {
  ASSIGN_OR_RETURN(const OperationView view, OperationIn(exchange));
  OperationBook& book = exchange.services.operations;
  RETURN_IF_ERROR(book.Cancel(view.id));
  return Answer(ToJson(book.Find(view.id).value_or(view), /*with_result=*/true), 202);
}

}  // namespace

void AddOperationRoutes(RouteTable* table) {
  table->AddSchema(
      "OperationList",
      Members("Operations.")
          .Must("operations", ListOf(Ref("Operation"), "Oldest first, without their results."))
          .May("next", Text("There are more: ask again with after=")));
  Route list{"GET", "/v1/operations", "listOperations", "operations", "One's own; admins see all"};
  list.query = {{"after", Text("Only those behind this one, as \"next\" said it.")},
                {"limit", Whole("So many at most (100).", 1, kListMax)},
                {"running", Flag("Only those that have not ended (false).")}};
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
