// Hosts.
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/routes.h"
#include "vclusterd/rest/vcluster_json.h"

namespace strata::vcluster::rest {
namespace {

Result<Reply> List(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(const auto hosts, clusters->Hosts(exchange.caller));
  return Answer(ToJson(hosts));
}

Result<Reply> History(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(const auto history,
                   clusters->HostHistory(exchange.caller, exchange.path.at("host")));
  return Answer(ToJson(history));
}

Result<Reply> Drain(Exchange& exchange, bool drain) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  RETURN_IF_ERROR(clusters->Drain(exchange.caller, exchange.path.at("host"), drain));
  return NoContent();
}

}  // namespace

void AddHostRoutes(RouteTable* table) {
  Route list{"GET", "/v1/hosts", "listHosts", "hosts", "The hosts"};
  list.operation = Operation::kHostList;
  list.answers = {{200, "HostList"}};
  list.handle = List;
  table->Add(std::move(list));
  Route history{"GET", "/v1/hosts/{host}/history", "getHostHistory", "hosts",
                "What it used in the last six hours, by minutes"};
  history.operation = Operation::kHostList;
  history.answers = {{200, "UsageHistory"}};
  history.handle = History;
  table->Add(std::move(history));
  for (const bool drain : {true, false}) {
    Route route{"POST", std::string("/v1/hosts/{host}/") + (drain ? "drain" : "resume"),
                drain ? "drainHost" : "resumeHost", "hosts",
                drain ? "It gets no more nodes" : "It gets nodes again"};
    route.operation = Operation::kHostDrain;
    route.answers = {{204, ""}};
    route.handle = [drain](Exchange& exchange) { return Drain(exchange, drain); };
    table->Add(std::move(route));
  }
}

}  // namespace strata::vcluster::rest
