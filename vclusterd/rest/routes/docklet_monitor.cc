// Docklet's /monitor/…, and what of it Strata does not have.
#include <cctype>
#include <cmath>

#include "common/printable.h"
#include "vclusterd/rest/routes/docklet_form.h"
#include "vclusterd/rest/vcluster_json.h"

namespace strata::vcluster::rest::docklet {
namespace {

constexpr double kMiB = 1 << 20;

double Rounded(double value) { return std::round(value * 100) / 100; }

Result<Json> IssueOf(const Exchange& exchange, const ClusterView& view, const NodeView& node,
                     const std::string& issue) {
  if (issue == "cpu_use") {
    const double may_use = node.limits.cpus > 0 ? node.limits.cpus : 1;
    const double cpus = node.usage ? node.usage->cpus() : 0;
    return Json{{"cpu_use", {{"val", Rounded(cpus / may_use * 100)}, {"unit", "%"}}}};
  }
  if (issue == "mem_use") {
    const double bytes = node.usage ? static_cast<double>(node.usage->memory_bytes()) : 0;
    return Json{{"mem_use", {{"val", Rounded(bytes / kMiB)}, {"unit", "MiB"}}}};
  }
  if (issue == "disk_use") {
    Json use = {{"used", node.upper_bytes}, {"unit", "bytes"}};
    if (node.disk_limit_bytes != 0) {
      use["total"] = node.disk_limit_bytes;
      use["percent"] = Rounded(static_cast<double>(node.upper_bytes) * 100 /
                               static_cast<double>(node.disk_limit_bytes));
    }
    return Json{{"disk_use", std::move(use)}};
  }
  if (issue == "basic_info") {
    return Json{{"basic_info",
                 {{"Name", ContainerName(node)},
                  {"State", NameOf(node.condition)},
                  {"IP", node.address.ToString()},
                  {"Host", node.host},
                  {"Image", node.image},
                  {"PID", node.init_pid}}}};
  }
  if (issue == "owner") {
    const Users& users = exchange.services.users;
    const AccountPtr account = users.accounts().Find(view.owner_uid);
    const bool may_know = account != nullptr && users.Allows(exchange.caller, Operation::kUserList,
                                                             {view.owner_uid, view.owner, ""});
    return Json{{"owner",
                 {{"username", view.owner},
                  {"truename", may_know ? account->real_name() : std::string()}}}};
  }
  return Error(Code::kUnsupported, "not supported request");
}

Result<Json> Vnode(Exchange& exchange) {
  const std::string& id = exchange.path.at("con_id");
  const size_t last = id.find_last_of(":/");
  if (last == std::string::npos) {
    return Error(Code::kNotFound, "'" + Printable(id) +
                                      "' names no container: say "
                                      "CLUSTER:NODE, as /cluster/info/ does");
  }
  std::string name = id.substr(0, last);
  if (const size_t colon = name.find(':'); colon != std::string::npos) name[colon] = '/';
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  // With a look at its disk, which only this asks for.
  const std::string& issue = exchange.path.at("issue");
  ASSIGN_OR_RETURN(const std::vector<ClusterView> views,
                   issue == "disk_use" ? clusters->List(exchange.caller, name)
                                       : clusters->Glance(exchange.caller, name));
  ASSIGN_OR_RETURN(const NodeView node, NodeOf(views.at(0), id.substr(last + 1)));
  ASSIGN_OR_RETURN(Json monitor, IssueOf(exchange, views.at(0), node, issue));
  return Json{{"monitor", std::move(monitor)}};
}

Result<Json> PhysicalNodes(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(const auto hosts, clusters->Hosts(exchange.caller));
  Json names = Json::array();
  for (const Master::HostView& host : hosts) names.push_back(host.name);
  return Json{{"monitor", {{"allnodes", std::move(names)}}}};
}

Result<Json> Host(Exchange& exchange) {
  ASSIGN_OR_RETURN(const auto clusters, exchange.services.clusters());
  ASSIGN_OR_RETURN(const auto hosts, clusters->Hosts(exchange.caller));
  const std::string& issue = exchange.path.at("issue");
  for (const Master::HostView& host : hosts) {
    if (host.name != exchange.path.at("com_id")) continue;
    Json monitor;
    if (issue == "status") monitor = host.present ? "RUNNING" : "STOPPED";
    if (issue == "meminfo") monitor = {{"total", host.capacity.memory_bytes()}};
    if (issue == "cpuconfig") monitor = {{"total", host.capacity.cpus()}};
    if (issue == "diskinfo") monitor = {{"total", host.capacity.disk_bytes()}};
    if (issue == "containers") monitor = {{"total", host.nodes}};
    if (monitor.is_null()) return Error(Code::kUnsupported, "not supported request");
    return Json{{"monitor", {{issue, std::move(monitor)}}}};
  }
  return Error(Code::kNotFound, "there is no such host");
}

struct Absent {
  const char* path;
  const char* instead;
};

// What Docklet's master serves beyond its paper, and where Strata has it, if it has.
constexpr Absent kAbsent[] = {
    {"/cluster/flush/", "save the node and apply a definition with the new image"},
    {"/image/list/", "vimage list"},
    {"/image/description/", "vimage show"},
    {"/image/share/", "vimage share"},
    {"/image/unshare/", "vimage share"},
    {"/image/delete/", "vimage delete"},
    {"/addproxy/", "ports of a role (docs/definition.md)"},
    {"/deleteproxy/", "ports of a role (docs/definition.md)"},
    {"/monitor/user/quotainfo/", "GET /v1/quotas/users/{user}"},
    {"/external_login/", "GET /v1/openid/start"},
    {"/register/", "POST /v1/registrations"},
    {"/user/add/", "POST /v1/users"},
    {"/user/query/", "GET /v1/users/{user}"},
    {"/user/selfQuery/", "GET /v1/session"},
    {"/user/modify/", "PATCH /v1/users/{user}"},
    {"/user/selfModify/", "PATCH /v1/users/{user}"},
    {"/user/data/", "GET /v1/users"},
    {"/user/groupadd/", "POST /v1/groups"},
    {"/user/groupdel/", "DELETE /v1/groups/{group}"},
    {"/user/groupList/", "GET /v1/groups"},
    {"/user/groupQuery/", "GET /v1/groups/{group}"},
    {"/user/groupModify/", "PATCH /v1/groups/{group}"},
    {"/user/quotaadd/", "PUT /v1/quotas/users/{user}"},
};

}  // namespace

void AddMonitorRoutes(RouteTable* table) {
  table->Add(MakeRoute("/monitor/vnodes/{con_id}/{issue}/", "dockletMonitorNode",
                       Operation::kVclusterList,
                       "cpu_use, mem_use, disk_use, basic_info or owner of a node (hpc:0)", Vnode));
  table->Add(MakeRoute("/monitor/hosts/{com_id}/{issue}/", "dockletMonitorHost",
                       Operation::kHostList,
                       "status, meminfo, cpuconfig, diskinfo or containers of a host", Host));
  table->Add(MakeRoute("/monitor/listphynodes/", "dockletListHosts", Operation::kHostList,
                       "The names of hosts", PhysicalNodes));
}

void AddAbsentRoutes(RouteTable* table) {
  for (const Absent& absent : kAbsent) {
    std::string id = "dockletAbsent";
    for (const char* c = absent.path; *c != '\0'; ++c) {
      if (*c == '/' || *c == '_') continue;
      const bool begins = c[-1] == '/' || c[-1] == '_';
      id += begins ? static_cast<char>(std::toupper(static_cast<unsigned char>(*c))) : *c;
    }
    table->Add(MakeRoute(
        absent.path, id, std::nullopt, std::string("Not done; instead: ") + absent.instead,
        [instead = absent.instead](Exchange&) -> Result<Json> {
          return Error(Code::kUnsupported,
                       std::string("Strata does not do this here; instead: ") + instead);
        }));
  }
}

}  // namespace strata::vcluster::rest::docklet
