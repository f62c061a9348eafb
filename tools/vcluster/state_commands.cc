#include <ostream>

#include "common/printable.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/human.h"
#include "tools/cli/json.h"
#include "tools/vcluster/print_clusters.h"
#include "tools/vcluster/vcluster.h"
#include "vclusterd/api/vcluster.grpc.pb.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;

enum class Shown { kClusters, kNodes, kUsage };

Result<int> List(Tool& tool, const std::string& name, Shown shown) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::ListRequest request;
  request.set_name(name);
  api::Clusters clusters;
  const grpc::Status status =
      api::VclusterService::NewStub(channel)->List(call.context(), request, &clusters);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(clusters, tool.console().out));
  } else if (shown == Shown::kNodes) {
    PrintNodeTable(clusters, tool.console().out);
  } else if (shown == Shown::kUsage) {
    PrintUsageTable(clusters, tool.console().out);
  } else {
    PrintClusterTable(clusters, tool.console().out);
  }
  return kExitOk;
}

Result<int> ShowHistory(Tool& tool, const grpc::Status& status, const api::UsageHistory& history) {
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(history, tool.console().out));
  } else {
    PrintHistoryTable(history, tool.console().out);
  }
  return kExitOk;
}

Result<int> History(Tool& tool, const std::string& node) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::HistoryRequest request;
  request.set_node(node);
  api::UsageHistory history;
  const grpc::Status status =
      api::VclusterService::NewStub(channel)->History(call.context(), request, &history);
  return ShowHistory(tool, status, history);
}

Result<int> HostHistory(Tool& tool, const std::string& host) {
  if (host.empty())
    return Error(Code::kInvalidArgument, "say which host: vcluster top HOST --hosts --history");
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::HostHistoryRequest request;
  request.set_host(host);
  api::UsageHistory history;
  const grpc::Status status =
      api::VclusterService::NewStub(channel)->HostHistory(call.context(), request, &history);
  return ShowHistory(tool, status, history);
}

// `name`: only this one; empty: all.
Result<int> HostUsage(Tool& tool, const std::string& name) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::Hosts all;
  const grpc::Status status =
      api::VclusterService::NewStub(channel)->ListHosts(call.context(), api::HostsRequest(), &all);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  api::Hosts hosts;
  for (const api::HostInfo& host : all.hosts()) {
    if (name.empty() || host.name() == name) *hosts.add_hosts() = host;
  }
  if (!name.empty() && hosts.hosts().empty()) {
    return Error(Code::kNotFound, "there is no host '" + name + "' (vcluster host list)");
  }
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(hosts, tool.console().out));
  } else {
    PrintHostUsageTable(hosts, tool.console().out);
  }
  return kExitOk;
}

Result<int> Start(Tool& tool, const std::string& target) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::StartRequest request;
  request.set_target(target);
  api::Clusters clusters;
  const grpc::Status status =
      api::VclusterService::NewStub(channel)->Start(call.context(), request, &clusters);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  RETURN_IF_ERROR(PrintClusters(tool, clusters));
  return kExitOk;
}

Result<int> Stop(Tool& tool, const std::string& target, uint32_t timeout_s) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::StopRequest request;
  request.set_target(target);
  request.set_timeout_s(timeout_s);
  api::Clusters clusters;
  const grpc::Status status =
      api::VclusterService::NewStub(channel)->Stop(call.context(), request, &clusters);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  RETURN_IF_ERROR(PrintClusters(tool, clusters));
  return kExitOk;
}

Result<int> Resize(Tool& tool, const std::string& target, const std::string& disk) {
  ASSIGN_OR_RETURN(const uint64_t disk_bytes, ParseBytes(disk), "--disk");
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::ResizeRequest request;
  request.set_target(target);
  request.set_disk_bytes(disk_bytes);
  api::Clusters clusters;
  const grpc::Status status =
      api::VclusterService::NewStub(channel)->Resize(call.context(), request, &clusters);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  RETURN_IF_ERROR(PrintClusters(tool, clusters));
  return kExitOk;
}

Result<int> Delete(Tool& tool, const std::vector<std::string>& names) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  const auto stub = api::VclusterService::NewStub(channel);
  for (const std::string& name : names) {
    Call call;
    api::DeleteRequest request;
    request.set_name(name);
    api::DeleteResponse response;
    const grpc::Status status = stub->Delete(call.context(), request, &response);
    if (!status.ok()) return CallError(status, Daemon::kVclusterd);
    if (!tool.json()) tool.console().out << Printable(name) << " deleted" << std::endl;
  }
  if (tool.json()) RETURN_IF_ERROR(PrintJson(api::DeleteResponse(), tool.console().out));
  return kExitOk;
}

}  // namespace

void AddStateCommands(Tool& tool) {
  auto name = std::make_shared<std::string>();
  auto by_node = std::make_shared<bool>(false);
  CLI::App* list =
      tool.AddCommand("list", "Your Vclusters (root: everybody's)",
                      "  vcluster list\n  vcluster list hpc -l\n"
                      "  vcluster list --json | jq -r '.clusters[].nodes[].address'",
                      [&tool, name, by_node] {
                        return List(tool, *name, *by_node ? Shown::kNodes : Shown::kClusters);
                      });
  list->add_option("NAME", *name, "Only this one");
  list->add_flag("-l,--long", *by_node, "A line for each node: state, address, limits, disk");

  auto history = std::make_shared<bool>(false);
  auto hosts = std::make_shared<bool>(false);
  CLI::App* top = tool.AddCommand(
      "top",
      "What running nodes or hosts use, the busiest first (measured every 10 s). PSI: the share of "
      "the last ten seconds in which a process waited for it (pressure)",
      "  vcluster top\n  vcluster top hpc\n  watch vcluster top\n"
      "  vcluster top hpc/0 --history\n  vcluster top --hosts\n"
      "  vcluster top lab-1 --hosts --history",
      [&tool, name, history, hosts] {
        if (*hosts) return *history ? HostHistory(tool, *name) : HostUsage(tool, *name);
        return *history ? History(tool, *name) : List(tool, *name, Shown::kUsage);
      });
  top->add_option("NAME", *name, "Only this Vcluster, node or host");
  top->add_flag("--hosts", *hosts, "Whole hosts, not nodes (admins)");
  top->add_flag("--history", *history,
                "Of a node or host: means of each minute of the last six hours");

  auto target = std::make_shared<std::string>();
  CLI::App* start = tool.AddCommand("start", "Start a Vcluster, or one node of it",
                                    "  vcluster start hpc\n  vcluster start hpc/2",
                                    [&tool, target] { return Start(tool, *target); });
  start->add_option("TARGET", *target, "NAME or NAME/NUMBER")->required();

  auto timeout_s = std::make_shared<uint32_t>(10);
  CLI::App* stop =
      tool.AddCommand("stop", "Stop a Vcluster, or one node of it; its files stay",
                      "  vcluster stop hpc\n  vcluster stop hpc/2 --timeout 30",
                      [&tool, target, timeout_s] { return Stop(tool, *target, *timeout_s); });
  stop->add_option("TARGET", *target, "NAME or NAME/NUMBER")->required();
  stop->add_option("--timeout", *timeout_s, "Seconds until what does not end is killed")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();

  auto disk = std::make_shared<std::string>();
  CLI::App* resize =
      tool.AddCommand("resize", "Change the limit of disk of nodes while they run",
                      "  vcluster resize hpc/2 --disk 20G\n  vcluster resize hpc --disk 512M",
                      [&tool, target, disk] { return Resize(tool, *target, *disk); });
  resize->add_option("TARGET", *target, "NAME or NAME/NUMBER")->required();
  resize->add_option("--disk", *disk, "What each node may write")->required();

  auto names = std::make_shared<std::vector<std::string>>();
  CLI::App* remove =
      tool.AddCommand("delete", "Stop Vclusters and delete them with all that their nodes wrote",
                      "  vcluster delete hpc\n  vcluster delete hpc-1 hpc-2",
                      [&tool, names] { return Delete(tool, *names); });
  remove->add_option("NAME", *names, "Which")->required();
}

}  // namespace strata::tools
