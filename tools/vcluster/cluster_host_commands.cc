#include <algorithm>
#include <ostream>
#include <sstream>

#include "common/byte_size.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/json.h"
#include "tools/cli/progress.h"
#include "tools/cli/table.h"
#include "tools/vcluster/vcluster.h"
#include "vclusterd/api/moves.grpc.pb.h"
#include "vclusterd/api/vcluster.grpc.pb.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;

std::string Cpus(double cpus) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f", cpus);
  return text;
}

std::string StateOf(const api::HostInfo& host) {
  if (!host.present()) return "lost";
  if (!host.draining()) return "ready";
  return host.left() == 0 ? "drained" : "draining, " + std::to_string(host.left()) + " left";
}

std::string RentOf(const api::HostInfo& host) {
  if (host.provider().empty()) return "";
  std::ostringstream text;
  text << host.provider() << ", " << host.price_per_hour() << "/h";
  return text.str();
}

void PrintStaying(Tool& tool, const api::HostInfo& host) {
  for (const api::StayingNode& node : host.staying()) {
    tool.Complain(node.name() + " stays on " + host.name() + ": " + node.why());
  }
}

Status PrintHosts(Tool& tool, const api::Hosts& hosts) {
  if (tool.json()) return PrintJson(hosts, tool.console().out);
  Table table({"HOST", "STATE", ">NODES", ">CPUS", ">USED", ">MEMORY", ">USED", ">DISK FREE",
               "LABELS", "RENTED"});
  for (const api::HostInfo& host : hosts.hosts()) {
    std::string labels;
    for (const std::string& label : host.labels()) labels += (labels.empty() ? "" : ",") + label;
    const bool measured = host.has_usage();
    table.Add(
        {host.name(), StateOf(host), std::to_string(host.nodes()),
         std::to_string(static_cast<int>(host.cpus())), measured ? Cpus(host.usage().cpus()) : "-",
         HumanBytes(host.memory_bytes()), measured ? HumanBytes(host.usage().memory_bytes()) : "-",
         HumanBytes(measured ? host.disk_free_bytes() : host.disk_bytes()), labels, RentOf(host)});
  }
  table.Print(tool.console().out);
  for (const api::HostInfo& host : hosts.hosts()) {
    if (!host.notice().empty()) tool.Complain(host.name() + ": " + host.notice());
    PrintStaying(tool, host);
  }
  return Ok();
}

// Follows a drain to its end.
Result<int> AwaitDrain(Tool& tool, const std::shared_ptr<grpc::Channel>& channel,
                       const std::string& host) {
  Call call;
  api::WatchDrainRequest request;
  request.set_host(host);
  const auto reader = api::MoveService::NewStub(channel)->WatchDrain(call.context(), request);
  api::HostInfo info;
  uint32_t most = 0;
  {
    ProgressLine progress(tool.console(), "drain " + host, tool.json());
    while (reader->Read(&info)) {
      most = std::max(most, info.left());
      progress.Update({"move", most - info.left(), most, false, 0});
    }
  }
  const grpc::Status status = reader->Finish();
  if (call.interrupted() && !status.ok()) {
    return Error(Code::kCancelled, "the drain goes on (vcluster host list)");
  }
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  if (tool.json()) RETURN_IF_ERROR(PrintJson(info, tool.console().out));
  if (info.staying().empty()) return kExitOk;
  if (!tool.json()) PrintStaying(tool, info);
  return Error(Code::kFailedPrecondition,
               std::to_string(info.staying_size()) + " nodes stay on " + host);
}

Result<int> ListHosts(Tool& tool) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::Hosts hosts;
  const grpc::Status status = api::VclusterService::NewStub(channel)->ListHosts(
      call.context(), api::HostsRequest(), &hosts);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  RETURN_IF_ERROR(PrintHosts(tool, hosts));
  return kExitOk;
}

Result<int> Drain(Tool& tool, const std::string& host, bool resume, bool wait) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::DrainRequest request;
  request.set_host(host);
  request.set_resume(resume);
  api::Hosts hosts;
  const grpc::Status status =
      api::VclusterService::NewStub(channel)->Drain(call.context(), request, &hosts);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  if (wait) return AwaitDrain(tool, channel, host);
  RETURN_IF_ERROR(PrintHosts(tool, hosts));
  return kExitOk;
}

Result<int> RotateFabricKeys(Tool& tool) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::Hosts hosts;
  const grpc::Status status = api::VclusterService::NewStub(channel)->RotateFabricKeys(
      call.context(), api::RotateFabricKeysRequest(), &hosts);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  RETURN_IF_ERROR(PrintHosts(tool, hosts));
  return kExitOk;
}

Result<int> Rebalance(Tool& tool, bool dry_run) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::RebalanceRequest request;
  request.set_dry_run(dry_run);
  api::RebalanceResponse response;
  const grpc::Status status =
      api::MoveService::NewStub(channel)->Rebalance(call.context(), request, &response);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(response, tool.console().out));
    return kExitOk;
  }
  if (response.moves().empty()) {
    tool.console().out << "no move would make it better\n";
    return kExitOk;
  }
  Table table({"NODE", "FROM", "TO", "BECAUSE"});
  for (const api::NodeMove& move : response.moves()) {
    table.Add({move.node(), move.from(), move.to(),
               move.refused().empty() ? move.reason() : "not moved: " + move.refused()});
  }
  table.Print(tool.console().out);
  return kExitOk;
}

Result<int> Why(Tool& tool, const std::string& node) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::WhyRequest request;
  request.set_node(node);
  api::WhyResponse response;
  const grpc::Status status =
      api::VclusterService::NewStub(channel)->Why(call.context(), request, &response);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  if (tool.json()) {
    RETURN_IF_ERROR(PrintJson(response, tool.console().out));
  } else {
    tool.console().out << response.text();
  }
  return kExitOk;
}

}  // namespace

void AddClusterHostCommands(Tool& tool) {
  CLI::App* group = tool.AddGroup("host", "The hosts that nodes run on");
  tool.AddCommand(
      "list", "The hosts, what they have, and whether they are there", "  vcluster host list",
      [&tool] { return ListHosts(tool); }, group);
  auto name = std::make_shared<std::string>();
  auto wait = std::make_shared<bool>();
  CLI::App* drain = tool.AddCommand(
      "drain",
      "Move the nodes of a host to others, with what they have written, and give it no more "
      "(root). "
      "Each is stopped for its move.",
      "  vcluster host drain lab-2 --wait",
      [&tool, name, wait] { return Drain(tool, *name, false, *wait); }, group);
  drain->add_option("HOST", *name, "Which")->required();
  drain->add_flag("--wait", *wait, "Until no node moves any more; fails when some stay");
  CLI::App* resume = tool.AddCommand(
      "resume", "Give a host nodes again (root)", "  vcluster host resume lab-2",
      [&tool, name] { return Drain(tool, *name, true, false); }, group);
  resume->add_option("HOST", *name, "Which")->required();

  tool.AddCommand(
      "rotate-fabric-keys",
      "Give all hosts new keys of the encrypted network between them (root). Traffic goes on; a "
      "host that is away puts it off.",
      "  vcluster host rotate-fabric-keys", [&tool] { return RotateFabricKeys(tool); }, group);

  auto dry_run = std::make_shared<bool>();
  CLI::App* rebalance = tool.AddCommand(
      "rebalance",
      "Move nodes that disturb each other to other hosts (root). Each is stopped for its move.",
      "  vcluster rebalance --dry-run", [&tool, dry_run] { return Rebalance(tool, *dry_run); });
  rebalance->add_flag("--dry-run", *dry_run, "Only say what would be moved");

  CLI::App* why = tool.AddCommand("why", "Why a node is where it is, or has no place",
                                  "  vcluster why spark/worker-1\n  vcluster why spark",
                                  [&tool, name] { return Why(tool, *name); });
  why->add_option("TARGET", *name, "NAME or NAME/NODE")->required();
}

}  // namespace strata::tools
