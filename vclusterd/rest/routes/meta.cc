// What the API says of itself.
#include "vclusterd/rest/open_api.h"
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/routes.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;

Result<Reply> Document(Exchange& exchange) {
  return Answer(OpenApiDocument(exchange.services.table));
}

Result<Reply> Health(Exchange& exchange) {
  const auto clusters = exchange.services.clusters();
  Json json = {{"status", clusters.ok() ? "leads" : "follows"}};
  if (!clusters.ok()) json["detail"] = clusters.error().message();
  return Answer(std::move(json));
}

}  // namespace

void AddMetaRoutes(RouteTable* table) {
  table->AddSchema("OpenApi", Json{{"type", "object"}, {"description", "OpenAPI 3.1."}});
  table->AddSchema("Health",
                   Members("This process.")
                       .Must("status", Word("Whether its master leads.", {"leads", "follows"}))
                       .May("detail", Text("Who leads, if it is known.", 2000)));
  Route document{"GET", "/v1/openapi.json", "getOpenApi", "meta", "This document"};
  document.access = Access::kOpen;
  document.only_leader = false;
  document.answers = {{200, "OpenApi"}};
  document.handle = Document;
  table->Add(std::move(document));
  Route health{"GET", "/healthz", "getHealth", "meta", "This process answers"};
  health.access = Access::kOpen;
  health.only_leader = false;
  health.answers = {{200, "Health"}};
  health.handle = Health;
  table->Add(std::move(health));
}

}  // namespace strata::vcluster::rest
