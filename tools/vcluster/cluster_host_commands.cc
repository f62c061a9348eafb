#include <ostream>

#include "common/byte_size.h"
#include "tools/cli/call.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/json.h"
#include "tools/cli/table.h"
#include "tools/vcluster/vcluster.h"
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
  return host.draining() ? "draining" : "ready";
}

Status PrintHosts(Tool& tool, const api::Hosts& hosts) {
  if (tool.json()) return PrintJson(hosts, tool.console().out);
  Table table(
      {"HOST", "STATE", ">NODES", ">CPUS", ">USED", ">MEMORY", ">USED", ">DISK FREE", "LABELS"});
  for (const api::HostInfo& host : hosts.hosts()) {
    std::string labels;
    for (const std::string& label : host.labels()) labels += (labels.empty() ? "" : ",") + label;
    const bool measured = host.has_usage();
    table.Add({host.name(), StateOf(host), std::to_string(host.nodes()),
               std::to_string(static_cast<int>(host.cpus())),
               measured ? Cpus(host.usage().cpus()) : "-", HumanBytes(host.memory_bytes()),
               measured ? HumanBytes(host.usage().memory_bytes()) : "-",
               HumanBytes(measured ? host.disk_free_bytes() : host.disk_bytes()), labels});
  }
  table.Print(tool.console().out);
  return Ok();
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

Result<int> Drain(Tool& tool, const std::string& host, bool resume) {
  ASSIGN_OR_RETURN(const auto channel, tool.Connect());
  Call call;
  api::DrainRequest request;
  request.set_host(host);
  request.set_resume(resume);
  api::Hosts hosts;
  const grpc::Status status =
      api::VclusterService::NewStub(channel)->Drain(call.context(), request, &hosts);
  if (!status.ok()) return CallError(status, Daemon::kVclusterd);
  RETURN_IF_ERROR(PrintHosts(tool, hosts));
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
  CLI::App* drain = tool.AddCommand(
      "drain", "Give a host no more nodes (root)", "  vcluster host drain lab-2",
      [&tool, name] { return Drain(tool, *name, false); }, group);
  drain->add_option("HOST", *name, "Which")->required();
  CLI::App* resume = tool.AddCommand(
      "resume", "Give a host nodes again (root)", "  vcluster host resume lab-2",
      [&tool, name] { return Drain(tool, *name, true); }, group);
  resume->add_option("HOST", *name, "Which")->required();

  CLI::App* why = tool.AddCommand("why", "Why a node is where it is, or has no place",
                                  "  vcluster why spark/worker-1\n  vcluster why spark",
                                  [&tool, name] { return Why(tool, *name); });
  why->add_option("TARGET", *name, "NAME or NAME/NODE")->required();
}

}  // namespace strata::tools
