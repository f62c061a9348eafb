// The stream of events.
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/routes.h"

namespace strata::vcluster::rest {
namespace {

Result<Reply> Listen(Exchange& exchange) {
  Reply reply;
  ASSIGN_OR_RETURN(
      reply.stream,
      exchange.services.events.Open(
          exchange.caller, std::string(http::Find(exchange.request.headers, "Last-Event-ID"))));
  reply.content_type = "text/event-stream";
  reply.headers = {{"X-Accel-Buffering", "no"}};
  return reply;
}

}  // namespace

void AddEventRoutes(RouteTable* table) {
  Route route{"GET", "/v1/events", "listen", "events",
              "Server-sent events of Vclusters and operations that one may see; goes on with "
              "Last-Event-ID"};
  route.answers = {{200,
                    "Events: vcluster.changed (a VclusterSummary), vcluster.deleted, "
                    "operation.changed (an Operation), reset."}};
  route.answer_type = "text/event-stream";
  route.exhausted_status = 429;
  route.handle = Listen;
  table->Add(std::move(route));
}

}  // namespace strata::vcluster::rest
