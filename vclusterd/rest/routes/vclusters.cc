// Vclusters as wholes.
#include "vclusterd/definition/format_file.h"
#include "vclusterd/definition/parse_file.h"
#include "vclusterd/definition/schema.h"
#include "vclusterd/rest/routes/handler_parts.h"
#include "vclusterd/rest/routes/route_rows.h"
#include "vclusterd/rest/routes/routes.h"
#include "vclusterd/rest/routes/vcluster_orders.h"
#include "vclusterd/rest/vcluster_json.h"

namespace strata::vcluster::rest {
namespace {

using namespace schema;

constexpr int64_t kListMax = 1000;
constexpr size_t kDefinitionBytesMax = 1 << 20;

constexpr char kResource[] = "/v1/vclusters";
constexpr char kTag[] = "vclusters";

Result<Reply> List(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  Clusters::PageQuery query;
  query.after = WithSlash(exchange.Asked<std::string>("after", ""));
  query.limit = static_cast<size_t>(exchange.Asked<int64_t>("limit", kListMax));
  query.owner = exchange.Asked<std::string>("owner", "");
  query.fresh = exchange.Asked("fresh", false);
  ASSIGN_OR_RETURN(const Clusters::Page page, clusters->ListPage(exchange.caller, query));
  Json answer = {{"vclusters", Json::array()}};
  const bool nodes = exchange.Asked("nodes", true);
  for (const ClusterView& view : page.views) answer["vclusters"].push_back(ToJson(view, nodes));
  if (!page.next.empty()) {
    answer["next"] = page.views.back().owner + ":" + page.views.back().name;
  }
  return Answer(std::move(answer));
}

Result<Reply> Get(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  const std::string name = VclusterIn(exchange);
  ASSIGN_OR_RETURN(const std::vector<ClusterView> views,
                   exchange.Asked("fresh", false) ? clusters->List(exchange.caller, name)
                                                  : clusters->Glance(exchange.caller, name));
  return Answer(ToJson(views.at(0), exchange.Asked("nodes", true)));
}

Result<Reply> Create(Exchange& exchange) {
  ASSIGN_OR_RETURN(Definition definition, ParseDefinition(exchange.text, "the body"));
  if (const auto name = exchange.Asked<std::string>("name", ""); !name.empty()) {
    definition.name = name;
    RETURN_IF_ERROR(CheckClusterName(name));
  }
  return BeginOperation(
      exchange, CreateOrder(exchange, definition, exchange.Asked<std::string>("driver", "")));
}

// The body's definition, of the caller's Vcluster in the address.
Result<Definition> OwnDefinition(const Exchange& exchange) {
  ASSIGN_OR_RETURN(Definition definition, ParseDefinition(exchange.text, "the body"));
  std::string name = VclusterIn(exchange);
  if (const size_t slash = name.find('/'); slash != std::string::npos) {
    const auto owner = exchange.services.users.UidOf(name.substr(0, slash));
    if (!owner.ok() || *owner != exchange.caller.uid) {
      return Error(Code::kNotFound, "definitions are applied to one's own Vclusters");
    }
    name = name.substr(slash + 1);
  }
  RETURN_IF_ERROR(CheckClusterName(name));
  definition.name = name;
  return definition;
}

Result<Reply> Apply(Exchange& exchange) {
  ASSIGN_OR_RETURN(const Definition definition, OwnDefinition(exchange));
  return BeginOperation(exchange,
                        ApplyOrder(exchange, definition, exchange.Asked("recreate", false)));
}

Result<Reply> Diff(Exchange& exchange) {
  ASSIGN_OR_RETURN(const Definition definition, OwnDefinition(exchange));
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(const Clusters::Applied applied,
                   clusters->Apply(
                       exchange.caller, definition, /*dry_run=*/true, /*recreate=*/false,
                       [](const std::string&, uint32_t, uint32_t) {}, CancelToken()));
  return Answer(ToJson(applied));
}

Result<Reply> Scale(Exchange& exchange) {
  return BeginOperation(
      exchange, ScaleOrder(exchange, VclusterIn(exchange), exchange.Given<std::string>("role", ""),
                           exchange.Given<uint32_t>("count", 0)));
}

Result<Reply> Delete(Exchange& exchange) {
  return BeginOperation(exchange, DeleteOrder(exchange, VclusterIn(exchange)));
}

Result<Reply> Clone(Exchange& exchange) {
  CloneParameters parameters;
  parameters.source = VclusterIn(exchange);
  parameters.count = exchange.Given<uint32_t>("count", 1);
  parameters.prefix = exchange.Given<std::string>("prefix", "");
  parameters.image = exchange.Given<std::string>("image", "");
  return BeginOperation(exchange, CloneOrder(exchange, parameters));
}

Result<Reply> Extend(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(const ClusterView view,
                   clusters->Extend(exchange.caller, VclusterIn(exchange),
                                    exchange.Given<int64_t>("for_seconds", 0)));
  return Answer(ToJson(view, /*with_nodes=*/true));
}

Result<Reply> RotateKeys(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(const ClusterView view,
                   clusters->RotateKeys(exchange.caller, VclusterIn(exchange)));
  return Answer(ToJson(view, /*with_nodes=*/true));
}

Result<Reply> Export(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(
      const Definition definition,
      clusters->Export(exchange.caller, VclusterIn(exchange), exchange.Asked("pin", false)));
  Reply reply;
  const bool yaml = exchange.Asked<std::string>("format", "json") == "yaml";
  reply.text = yaml ? FormatDefinition(definition) : FormatDefinitionJson(definition);
  reply.content_type = yaml ? "application/yaml" : "application/json";
  return reply;
}

Result<Reply> Why(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(std::string text, clusters->Why(exchange.caller, VclusterIn(exchange)));
  return Answer({{"text", std::move(text)}});
}

void AddReads(RouteTable* table) {
  const QueryParameter fresh{
      "fresh", Flag("Hosts are asked what nodes use just now; otherwise it is what they said last, "
                    "some seconds ago.")};
  const QueryParameter nodes{"nodes", Flag("With nodes (true).")};
  const RouteRow rows[] = {
      {"GET",
       "",
       "listVclusters",
       Operation::kVclusterList,
       "The Vclusters that one may see",
       "",
       200,
       "VclusterList",
       List,
       {{"after", Text("Only those behind this one, OWNER:NAME.")},
        {"limit", Whole("So many at most.", 1, kListMax)},
        {"owner", Text("Only his.")},
        fresh,
        nodes}},
      {"GET",
       "/{vcluster}",
       "getVcluster",
       Operation::kVclusterList,
       "A Vcluster: NAME, or OWNER:NAME",
       "",
       200,
       "Vcluster",
       Get,
       {fresh, nodes}},
      {"GET",
       "/{vcluster}/definition",
       "exportVcluster",
       Operation::kVclusterExport,
       "The file that makes it again",
       "",
       200,
       "Definition",
       Export,
       {{"format", Word("Of the file (json).", {"json", "yaml"})},
        {"pin", Flag("With the exact images of its nodes, NAME@DIGEST.")}}},
      {"GET", "/{vcluster}/why", "explainVcluster", Operation::kVclusterList,
       "Why its nodes are where they are", "", 200, "Explanation", Why},
  };
  AddRows(rows, kResource, kTag, table);
}

void AddDefinitions(RouteTable* table) {
  const RouteRow rows[] = {
      {"POST",
       "",
       "createVcluster",
       Operation::kVclusterCreate,
       "Makes one as a Vcluster file says",
       "Definition",
       202,
       "",
       Create,
       {{"driver", Word("Of all nodes; each host's best.", {"kernel", "fuse"})},
        {"name", Text("Instead of the file's.")}}},
      {"PUT",
       "/{vcluster}",
       "applyVcluster",
       Operation::kVclusterApply,
       "Makes one's own so, whether it exists or not",
       "Definition",
       202,
       "",
       Apply,
       {{"recreate", Flag("Nodes whose image changes are made anew, without what they wrote "
                          "(false).")}}},
      {"POST", "/{vcluster}/diff", "diffVcluster", Operation::kVclusterApply,
       "What applying it would change", "Definition", 200, "Changes", Diff},
  };
  for (const RouteRow& row : rows) {
    Route route = RouteOf(row, kResource, kTag);
    route.body = BodyKind::kDefinition;
    route.body_bytes_max = kDefinitionBytesMax;
    table->Add(std::move(route));
  }
}

void AddChanges(RouteTable* table) {
  const RouteRow rows[] = {
      {"DELETE", "/{vcluster}", "deleteVcluster", Operation::kVclusterDelete,
       "Stops and deletes it", "", 202, "", Delete},
      {"POST", "/{vcluster}/start", "startVcluster", Operation::kVclusterStart,
       "Starts all of its nodes", "", 202, "", StartNamed},
      {"POST", "/{vcluster}/stop", "stopVcluster", Operation::kVclusterStop,
       "Stops all of its nodes", "Stop", 202, "", StopNamed},
      {"POST", "/{vcluster}/scale", "scaleVcluster", Operation::kVclusterScale,
       "Another number of nodes for a role", "Scale", 202, "", Scale},
      {"POST", "/{vcluster}/clone", "cloneVcluster", Operation::kVclusterClone,
       "Copies of one's own", "Clone", 202, "", Clone},
      {"POST", "/{vcluster}/resize", "resizeVcluster", Operation::kVclusterResize,
       "Another limit of disk for all nodes", "Resize", 202, "", ResizeNamed},
      {"POST", "/{vcluster}/extend", "extendVcluster", Operation::kVclusterApply,
       "Moves the end of its time", "Extend", 200, "Vcluster", Extend},
      {"POST", "/{vcluster}/rotate-keys", "rotateVclusterKeys", Operation::kVclusterApply,
       "New keys for ssh between its nodes; the old ones end once all have them", "", 200,
       "Vcluster", RotateKeys},
  };
  AddRows(rows, kResource, kTag, table);
}

}  // namespace

void AddVclusterRoutes(RouteTable* table) {
  table->AddSchema("Definition", Json::parse(VclusterSchema()));
  table->AddSchema("Explanation", Members("For people.").Must("text", Text("Lines.", 1 << 20)));
  table->AddSchema(
      "Stop", Members("How to stop.").May("grace_s", Whole("Before it is killed (10).", 0, 600)));
  table->AddSchema("Scale", Members("How many.")
                                .Must("role", Text("Which.", kRoleNameSizeMax))
                                .Must("count", Whole("Nodes.", 0, kNodesMax)));
  table->AddSchema("Clone", Members("Which copies.")
                                .May("count", Whole("How many (1).", 1, 1000))
                                .May("prefix", Text("Of their names (SOURCE-).", kNameSizeMax))
                                .May("image", Text("Instead of the source's.")));
  table->AddSchema("Resize", Members("The new limit.").Must("disk_bytes", Whole("Bytes.")));
  table->AddSchema("Extend", Members("The new end.")
                                 .Must("for_seconds", Whole("From now; 0: no end any more.", 0,
                                                            int64_t{10'000} * 86'400)));
  AddReads(table);
  AddDefinitions(table);
  AddChanges(table);
}

}  // namespace strata::vcluster::rest
