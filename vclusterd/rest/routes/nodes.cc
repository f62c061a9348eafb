// Single nodes of Vclusters.
#include "common/printable.h"
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/route_rows.h"
#include "vclusterd/rest/routes/routes.h"
#include "vclusterd/rest/routes/vcluster_orders.h"
#include "vclusterd/rest/vcluster_json.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;

Result<Reply> List(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(const std::vector<ClusterView> views,
                   clusters->Glance(exchange.caller, VclusterIn(exchange)));
  Json nodes = Json::array();
  for (const NodeView& node : views.at(0).nodes) nodes.push_back(ToJson(node));
  return Answer({{"nodes", std::move(nodes)}});
}

Result<Reply> Get(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(const std::vector<ClusterView> views,
                   clusters->Glance(exchange.caller, VclusterIn(exchange)));
  const std::string name = views.at(0).name + "/" + exchange.path.at("node");
  for (const NodeView& node : views.at(0).nodes) {
    if (node.name == name) return Answer(ToJson(node));
  }
  return Error(Code::kNotFound, "there is no node " + Printable(name));
}

imaged::ScrubMode ScrubOf(const Exchange& exchange) {
  const auto word = exchange.Given<std::string>("scrub", "default");
  if (word == "always") return imaged::ScrubMode::kAlways;
  return word == "never" ? imaged::ScrubMode::kNever : imaged::ScrubMode::kDefault;
}

Result<Reply> Save(Exchange& exchange) {
  SaveNodeParameters parameters;
  parameters.reference = exchange.Given<std::string>("reference", "");
  parameters.description = exchange.Given<std::string>("description", "");
  parameters.is_public = exchange.Given("public", false);
  parameters.replace = exchange.Given("replace", false);
  parameters.scrub = ScrubOf(exchange);
  return BeginOperation(exchange, SaveOrder(exchange, NamedIn(exchange), parameters));
}

Result<Reply> Why(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(std::string text, clusters->Why(exchange.caller, NamedIn(exchange)));
  return Answer({{"text", std::move(text)}});
}

Result<Reply> History(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(const auto history, clusters->History(exchange.caller, NamedIn(exchange)));
  return Answer(ToJson(history));
}

}  // namespace

void AddNodeRoutes(RouteTable* table) {
  table->AddSchema("NodeList", Members("Nodes.").Must("nodes", ListOf(Ref("Node"), "All.")));
  table->AddSchema(
      "Save", Members("What becomes of the node's changes.")
                  .Must("reference", Text("Of the image: NAME[:TAG]."))
                  .May("description", Text("For people.", 2000))
                  .May("public", Flag("Everybody may use it (false)."))
                  .May("replace", Flag("The tag may be another image's (false)."))
                  .May("scrub", Word("Whether secrets are taken out (default: from images that "
                                     "others may use).",
                                     {"default", "always", "never"})));
  const RouteRow rows[] = {
      {"GET", "", "listNodes", Operation::kVclusterList, "The nodes of a Vcluster", "", 200,
       "NodeList", List},
      {"GET", "/{node}", "getNode", Operation::kVclusterList, "A node: 0, worker-1", "", 200,
       "Node", Get},
      {"POST", "/{node}/start", "startNode", Operation::kVclusterStart, "Starts it", "", 202, "",
       StartNamed},
      {"POST", "/{node}/stop", "stopNode", Operation::kVclusterStop, "Stops it", "Stop", 202, "",
       StopNamed},
      {"POST", "/{node}/resize", "resizeNode", Operation::kVclusterResize,
       "Another limit of disk for it", "Resize", 202, "", ResizeNamed},
      {"POST", "/{node}/save", "saveNode", Operation::kVclusterSave,
       "What it changed becomes an image of the caller's", "Save", 202, "", Save},
      {"GET", "/{node}/why", "explainNode", Operation::kVclusterList, "Why it is where it is", "",
       200, "Explanation", Why},
      {"GET", "/{node}/history", "getNodeHistory", Operation::kVclusterList,
       "What it used in the last six hours, by minutes", "", 200, "UsageHistory", History},
  };
  AddRows(rows, "/v1/vclusters/{vcluster}/nodes", "nodes", table);
}

}  // namespace strata::vcluster::rest
