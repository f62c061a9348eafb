#include "tools/vcluster/print_clusters.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ostream>

#include "common/printable.h"
#include "tools/cli/human.h"
#include "tools/cli/json.h"
#include "tools/cli/table.h"

namespace strata::tools {
namespace {

namespace api = vcluster::v1;

std::string LimitsText(const api::Limits& limits) {
  std::string text;
  if (limits.cpus() > 0) {
    char cpus[32];
    std::snprintf(cpus, sizeof(cpus), "%g cpus", limits.cpus());
    text = cpus;
  }
  if (limits.memory_bytes() > 0) {
    text += (text.empty() ? "" : ", ") + HumanBytes(limits.memory_bytes());
  }
  return text.empty() ? "none" : text;
}

// "12 MiB of 5 GiB", or what is used alone.
std::string DiskText(const api::NodeInfo& node) {
  const std::string used = HumanBytes(node.upper_bytes());
  if (node.limits().disk_bytes() == 0) return used;
  return used + " of " + HumanBytes(node.limits().disk_bytes());
}

std::string Cpus(double cpus) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f", cpus);
  return text;
}

// Pressure: "12.5%".
std::string Share(double share) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f%%", share * 100);
  return text;
}

// Of usage that stands in the same order in every table.
constexpr std::array kRateHeaders = {">READ/S",  ">WRITTEN/S", ">RECEIVED/S", ">SENT/S",
                                     ">CPU PSI", ">MEM PSI",   ">IO PSI"};

void AddRates(const api::Usage& usage, std::vector<std::string>* row) {
  for (const uint64_t bytes : {usage.read_bytes_per_s(), usage.written_bytes_per_s(),
                               usage.received_bytes_per_s(), usage.sent_bytes_per_s()}) {
    row->push_back(HumanBytes(bytes));
  }
  for (const double share : {usage.cpu_pressure(), usage.memory_pressure(), usage.io_pressure()}) {
    row->push_back(Share(share));
  }
}

// `first`, what is said of every usage, and `last`.
Table UsageTable(std::vector<std::string> first, const std::vector<std::string>& last) {
  first.insert(first.end(), kRateHeaders.begin(), kRateHeaders.end());
  first.insert(first.end(), last.begin(), last.end());
  return Table(std::move(first));
}

std::string Milliseconds(double ms) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.0f ms", ms);
  return text;
}

// "20001->8080, 20002->53/udp"; with a port that leads to all of the role, "20003+18080->80"
std::string PortsText(const api::NodeInfo& node) {
  std::string text;
  for (const api::Port& port : node.ports()) {
    const std::string of_role = port.role_port() == 0 ? "" : "+" + std::to_string(port.role_port());
    text += (text.empty() ? "" : ", ") + std::to_string(port.host_port()) + of_role + "->" +
            std::to_string(port.node_port()) + (port.udp() ? "/udp" : "");
  }
  return text;
}

// "starting": it runs, but is not ready.
std::string StateText(const api::NodeInfo& node) {
  const bool starting = node.state() == api::RUNNING && !node.ready();
  std::string text = starting ? "starting" : NodeStateName(node.state());
  if (node.restarts() > 0) text += " (restarted " + std::to_string(node.restarts()) + "x)";
  return text;
}

}  // namespace

const char* NodeStateName(api::NodeState state) {
  switch (state) {
    case api::CREATING:
      return "creating";
    case api::RUNNING:
      return "running";
    case api::STOPPED:
      return "stopped";
    case api::BREAKDOWN:
      return "breakdown";
    default:
      return "unknown";
  }
}

void PrintClusterTable(const api::Clusters& clusters, std::ostream& out) {
  Table table({"VCLUSTER", "OWNER", ">NODES", ">RUNNING", "SUBNET", ">DISK", "IMAGE", "MADE"});
  for (const api::VclusterInfo& cluster : clusters.clusters()) {
    const auto running =
        std::count_if(cluster.nodes().begin(), cluster.nodes().end(),
                      [](const api::NodeInfo& node) { return node.state() == api::RUNNING; });
    uint64_t disk_bytes = 0;
    for (const api::NodeInfo& node : cluster.nodes()) disk_bytes += node.upper_bytes();
    table.Add({cluster.name(), cluster.owner(), std::to_string(cluster.nodes_size()),
               std::to_string(running), cluster.subnet(), HumanBytes(disk_bytes),
               cluster.nodes().empty() ? "" : cluster.nodes(0).image(),
               LocalTime(cluster.created_unix_ms())});
  }
  table.Print(out);
}

void PrintNodeTable(const api::Clusters& clusters, std::ostream& out) {
  Table table({"NODE", "STATE", "HOST", "ADDRESS", "PORTS", "LIMITS", ">DISK", "DRIVER", ">PID",
               ">STARTED IN", "IMAGE"});
  for (const api::VclusterInfo& cluster : clusters.clusters()) {
    for (const api::NodeInfo& node : cluster.nodes()) {
      table.Add({node.name(), StateText(node), node.host(), node.address(), PortsText(node),
                 LimitsText(node.limits()), DiskText(node), node.driver(),
                 node.init_pid() == 0 ? "-" : std::to_string(node.init_pid()),
                 Milliseconds(node.start_ms()), node.image()});
    }
  }
  table.Print(out);
  for (const api::VclusterInfo& cluster : clusters.clusters()) {
    if (!cluster.notice().empty()) {
      out << Printable(cluster.name()) << ": " << Printable(cluster.notice()) << '\n';
    }
    for (const api::NodeInfo& node : cluster.nodes()) {
      if (node.problem().empty()) continue;
      out << Printable(node.name()) << ": " << Printable(node.problem()) << '\n';
    }
  }
}

void PrintUsageTable(const api::Clusters& clusters, std::ostream& out) {
  std::vector<const api::NodeInfo*> nodes;
  for (const api::VclusterInfo& cluster : clusters.clusters()) {
    for (const api::NodeInfo& node : cluster.nodes()) {
      if (node.has_usage()) nodes.push_back(&node);
    }
  }
  std::stable_sort(nodes.begin(), nodes.end(), [](const auto* a, const auto* b) {
    return a->usage().cpus() > b->usage().cpus();
  });
  Table table = UsageTable({"NODE", "HOST", ">CPUS", ">OF", ">MEMORY", ">OF"}, {">DISK"});
  for (const api::NodeInfo* node : nodes) {
    const api::Usage& usage = node->usage();
    const api::Limits& limits = node->limits();
    std::vector<std::string> row = {
        node->name(),
        node->host(),
        Cpus(usage.cpus()),
        limits.cpus() > 0 ? Cpus(limits.cpus()) : "-",
        HumanBytes(usage.memory_bytes()),
        limits.memory_bytes() > 0 ? HumanBytes(limits.memory_bytes()) : "-"};
    AddRates(usage, &row);
    row.push_back(DiskText(*node));
    table.Add(std::move(row));
  }
  table.Print(out);
}

void PrintHostUsageTable(const api::Hosts& hosts, std::ostream& out) {
  std::vector<const api::HostInfo*> measured;
  for (const api::HostInfo& host : hosts.hosts()) {
    if (host.has_usage()) measured.push_back(&host);
  }
  std::stable_sort(measured.begin(), measured.end(), [](const auto* a, const auto* b) {
    return a->usage().cpus() > b->usage().cpus();
  });
  Table table = UsageTable({"HOST", ">NODES", ">CPUS", ">OF", ">MEMORY", ">OF"}, {">DISK FREE"});
  for (const api::HostInfo* host : measured) {
    const api::Usage& usage = host->usage();
    std::vector<std::string> row = {
        host->name(),       std::to_string(host->nodes()),    Cpus(usage.cpus()),
        Cpus(host->cpus()), HumanBytes(usage.memory_bytes()), HumanBytes(host->memory_bytes())};
    AddRates(usage, &row);
    row.push_back(HumanBytes(host->disk_free_bytes()));
    table.Add(std::move(row));
  }
  table.Print(out);
}

void PrintHistoryTable(const api::UsageHistory& history, std::ostream& out) {
  const bool is_of_host =
      std::any_of(history.points().begin(), history.points().end(),
                  [](const api::UsagePoint& point) { return point.disk_free_bytes() > 0; });
  std::vector<std::string> last;
  if (is_of_host) last.push_back(">DISK FREE");
  Table table = UsageTable({"TIME", ">CPUS", ">MEMORY"}, last);
  for (const api::UsagePoint& point : history.points()) {
    const api::Usage& usage = point.usage();
    std::vector<std::string> row = {LocalTime(point.unix_s() * 1000), Cpus(usage.cpus()),
                                    HumanBytes(usage.memory_bytes())};
    AddRates(usage, &row);
    if (is_of_host) row.push_back(HumanBytes(point.disk_free_bytes()));
    table.Add(std::move(row));
  }
  table.Print(out);
}

Status PrintClusters(Tool& tool, const api::Clusters& clusters) {
  if (tool.json()) return PrintJson(clusters, tool.console().out);
  PrintNodeTable(clusters, tool.console().out);
  return Ok();
}

}  // namespace strata::tools
