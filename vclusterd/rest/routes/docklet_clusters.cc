// Docklet's /cluster/…: its workspaces are Vclusters, its containers nodes.
#include "vclusterd/rest/routes/docklet_form.h"
#include "vclusterd/rest/routes/vcluster_orders.h"
#include "vclusterd/rest/vcluster_json.h"

namespace strata::vcluster::rest::docklet {
namespace {

constexpr std::chrono::seconds kGrace(10);
constexpr size_t kNamesMax = 10'000;  // Docklet's list has no pages.

using Order = OperationBook::Order;

// "imageowner" and "imagename"; that of the "imagetype" is told by the owner.
std::string ImageOf(const Exchange& exchange, const std::string& name) {
  const std::string owner = Field(exchange, "imageowner");
  return owner.empty() || name.find('/') != std::string::npos ? name : owner + "/" + name;
}

Result<ClusterView> ViewOf(const Exchange& exchange) {
  ASSIGN_OR_RETURN(const std::string name, NeededField(exchange, "clustername"));
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(std::vector<ClusterView> views, clusters->Glance(exchange.caller, name));
  return std::move(views.at(0));
}

Result<Json> Create(Exchange& exchange) {
  ASSIGN_OR_RETURN(const std::string name, NeededField(exchange, "clustername"));
  ASSIGN_OR_RETURN(const std::string image, NeededField(exchange, "imagename"));
  const Definition definition = PlainDefinition(name, ImageOf(exchange, image), 1, Limits());
  return DoWithin(exchange, CreateOrder(exchange, definition, ""), "create cluster",
                  "create cluster " + name);
}

// What is done to the cluster that the form names.
Result<Json> DoNamed(Exchange& exchange,
                     Result<Order> (*order)(const Exchange&, const std::string&),
                     const char* action) {
  ASSIGN_OR_RETURN(const std::string name, NeededField(exchange, "clustername"));
  return DoWithin(exchange, order(exchange, name), action, action);
}

Result<Order> Stopped(const Exchange& exchange, const std::string& name) {
  return StopOrder(exchange, name, kGrace);
}

Result<Json> Start(Exchange& exchange) { return DoNamed(exchange, StartOrder, "start cluster"); }
Result<Json> Stop(Exchange& exchange) { return DoNamed(exchange, Stopped, "stop cluster"); }
Result<Json> Delete(Exchange& exchange) { return DoNamed(exchange, DeleteOrder, "delete cluster"); }

Result<Json> List(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  Clusters::PageQuery query;
  query.limit = kNamesMax;
  query.owner = exchange.services.users.NameOf(exchange.caller.uid);
  ASSIGN_OR_RETURN(const Clusters::Page own, clusters->ListPage(exchange.caller, query));
  Json names = Json::array();
  for (const ClusterView& view : own.views) names.push_back(view.name);
  return Json{{"action", "list cluster"}, {"clusters", std::move(names)}};
}

Result<Json> Info(Exchange& exchange) {
  ASSIGN_OR_RETURN(const ClusterView view, ViewOf(exchange));
  bool runs = !view.nodes.empty();
  Json containers = Json::array();
  for (const NodeView& node : view.nodes) {
    runs = runs && node.condition == NodeCondition::kRunning;
    containers.push_back({{"containername", ContainerName(node)},
                          {"hostname", node.hostname},
                          {"ip", node.address.ToString()},
                          {"host", node.host},
                          {"image", node.image},
                          {"status", NameOf(node.condition)}});
  }
  return Json{{"action", "info cluster"},
              {"message",
               {{"clustername", view.name},
                {"owner", view.owner},
                {"size", view.nodes.size()},
                {"status", runs ? "running" : "stopped"},
                {"subnet", view.prefix.ToString()},
                {"create_time_unix_ms", view.created_unix_ms},
                {"containers", std::move(containers)}}}};
}

// The role that grows and shrinks, which Docklet has no word for: the only one.
Result<std::string> OnlyRole(const ClusterView& view) {
  for (const NodeView& node : view.nodes) {
    if (node.role != view.nodes.front().role) {
      return Error(Code::kUnsupported, "cluster " + view.name +
                                           " has several roles: POST /v1/vclusters/" + view.name +
                                           "/scale");
    }
  }
  if (view.nodes.empty()) return Error(Code::kFailedPrecondition, "the cluster has no nodes");
  return view.nodes.front().role;
}

Result<Json> ScaleTo(Exchange& exchange, const ClusterView& view, const std::string& role,
                     size_t count, const char* action) {
  const std::string name = view.owner + "/" + view.name;
  return DoWithin(exchange, ScaleOrder(exchange, name, role, static_cast<uint32_t>(count)), action,
                  std::string(action) + " to " + std::to_string(count));
}

Result<Json> ScaleOut(Exchange& exchange) {
  ASSIGN_OR_RETURN(const ClusterView view, ViewOf(exchange));
  ASSIGN_OR_RETURN(const std::string role, OnlyRole(view));
  const std::string image = Field(exchange, "imagename");
  const std::string& now = view.nodes.front().image;
  const std::string asked = image.empty() ? now : ImageOf(exchange, image);
  const bool is_same = asked == now || now == asked + ":latest" || now.ends_with("/" + asked) ||
                       now.ends_with("/" + asked + ":latest");
  if (!is_same) {
    return Error(Code::kUnsupported, "the nodes of a role have one image, here " + now);
  }
  return ScaleTo(exchange, view, role, view.nodes.size() + 1, "scale out");
}

Result<Json> ScaleIn(Exchange& exchange) {
  ASSIGN_OR_RETURN(const ClusterView view, ViewOf(exchange));
  ASSIGN_OR_RETURN(const std::string role, OnlyRole(view));
  if (const std::string words = Field(exchange, "containername"); !words.empty()) {
    ASSIGN_OR_RETURN(const NodeView node, NodeOf(view, words));
    if (node.name != view.nodes.back().name) {
      return Error(Code::kUnsupported, "a role shrinks from its newest node on, which is " +
                                           ContainerName(view.nodes.back()));
    }
  }
  return ScaleTo(exchange, view, role, view.nodes.size() - 1, "scale in");
}

Result<Json> Save(Exchange& exchange) {
  ASSIGN_OR_RETURN(const ClusterView view, ViewOf(exchange));
  ASSIGN_OR_RETURN(const std::string image, NeededField(exchange, "image"));
  const std::string words = Field(exchange, "containername");
  if (words.empty() && view.nodes.size() != 1) {
    return Error(Code::kInvalidArgument, "containername is null");
  }
  ASSIGN_OR_RETURN(const NodeView node,
                   words.empty() ? Result<NodeView>(view.nodes.front()) : NodeOf(view, words));
  SaveNodeParameters parameters;
  parameters.reference = image;
  parameters.description = Field(exchange, "description");
  parameters.replace = Field(exchange, "isforce") == "true";
  return DoWithin(exchange, SaveOrder(exchange, view.owner + "/" + node.name, parameters), "save",
                  "save");
}

}  // namespace

void AddClusterRoutes(RouteTable* table) {
  table->Add(MakeRoute("/cluster/create/", "dockletCreateCluster", Operation::kVclusterCreate,
                       "Makes a Vcluster of one node: clustername, imagename, imagetype, "
                       "imageowner",
                       Create));
  table->Add(MakeRoute("/cluster/start/", "dockletStartCluster", Operation::kVclusterStart,
                       "Starts its nodes: clustername", Start));
  table->Add(MakeRoute("/cluster/save/", "dockletSaveCluster", Operation::kVclusterSave,
                       "A node becomes an image: clustername, image, description, "
                       "containername, isforce",
                       Save));
  table->Add(MakeRoute("/cluster/stop/", "dockletStopCluster", Operation::kVclusterStop,
                       "Stops its nodes: clustername", Stop));
  table->Add(MakeRoute("/cluster/delete/", "dockletDeleteCluster", Operation::kVclusterDelete,
                       "Deletes it: clustername", Delete));
  table->Add(MakeRoute("/cluster/list/", "dockletListClusters", Operation::kVclusterList,
                       "The names of one's own", List));
  table->Add(MakeRoute("/cluster/info/", "dockletShowCluster", Operation::kVclusterList,
                       "Its containers: clustername", Info));
  table->Add(MakeRoute("/cluster/scaleout/", "dockletScaleOut", Operation::kVclusterScale,
                       "A node more: clustername, imagename", ScaleOut));
  table->Add(MakeRoute("/cluster/scalein/", "dockletScaleIn", Operation::kVclusterScale,
                       "A node less, the newest: clustername, containername", ScaleIn));
}

}  // namespace strata::vcluster::rest::docklet
