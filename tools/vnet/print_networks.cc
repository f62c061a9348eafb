#include <ostream>

#include "common/printable.h"
#include "tools/cli/human.h"
#include "tools/cli/table.h"
#include "tools/vnet/vnet.h"

namespace strata::tools {
namespace {

// Those that somebody waits for to have no connections any more.
void PrintLeavingForwards(const net::v1::ShowResponse& shown, std::ostream& out) {
  for (const net::v1::Network& network : shown.networks().networks()) {
    for (const net::v1::Forward& forward : network.forwards()) {
      if (!forward.has_connections()) continue;
      out << "port " << forward.host_port()
          << (forward.protocol() == net::v1::UDP ? "/udp" : "/tcp") << " still leads to "
          << Printable(forward.address()) << ":" << forward.node_port() << " of network "
          << network.number() << ": " << forward.connections() << " connections"
          << (forward.ending() ? ", no new ones" : "") << "\n";
    }
  }
}

void PrintNames(const net::v1::ShowResponse& shown, std::ostream& out) {
  if (!shown.has_name_service()) return;
  const net::v1::NameService& service = shown.name_service();
  Table table({">NETWORK", "NAME", "ADDRESSES"});
  for (const net::v1::Network& network : shown.networks().networks()) {
    for (const net::v1::Name& name : network.names().names()) {
      const std::string& domain = network.names().domain();
      std::string addresses;
      for (const std::string& one : name.addresses()) {
        addresses += (addresses.empty() ? "" : " ") + one;
      }
      table.Add({std::to_string(network.number()),
                 name.name() + (domain.empty() ? "" : "." + domain), addresses});
    }
  }
  table.Print(out);
  out << HumanCount(service.questions()) << " questions for names: " << HumanCount(service.own())
      << " of own ones, " << HumanCount(service.passed_on()) << " passed on, "
      << HumanCount(service.failed()) << " without an answer, " << HumanCount(service.over_limit())
      << " above a limit\n";
  if (!service.problem().empty()) {
    out << "some are not answered: " << Printable(service.problem()) << "\n";
  }
}

void PrintFabric(const net::v1::ShowResponse& shown, std::ostream& out) {
  if (!shown.networks().has_fabric()) return;
  const net::v1::Fabric& wanted = shown.networks().fabric();
  if (!shown.fabric_problem().empty()) {
    out << "fabric: " << Printable(shown.fabric_problem()) << "\n";
    return;
  }
  const net::v1::FabricState& fabric = shown.fabric();
  Table table({"FABRIC HOST", "ADDRESS", "CALLED AT", "LAST HEARD", ">RECEIVED", ">SENT"});
  for (const net::v1::FabricPeerState& peer : fabric.peers()) {
    table.Add({Printable(peer.host()), peer.address(),
               peer.endpoint().empty() ? "-" : peer.endpoint(),
               peer.unreachable()                   ? "both behind NATs"
               : peer.last_handshake_unix_ms() == 0 ? "-"
                                                    : LocalTime(peer.last_handshake_unix_ms()),
               HumanBytes(peer.received_bytes()), HumanBytes(peer.sent_bytes())});
  }
  table.Print(out);
  out << "fabric " << fabric.device() << ": "
      << (wanted.kind() == net::v1::Fabric::ESP ? "ESP"
          : fabric.driver().empty()             ? "WireGuard"
                                                : fabric.driver())
      << ", " << wanted.address() << ", MTU " << fabric.mtu() << ", key " << fabric.key();
  if (!fabric.next_key().empty()) out << ", next " << fabric.next_key();
  if (!fabric.session().empty()) out << ", session " << fabric.session();
  out << "\n";
}

}  // namespace

void PrintNetworks(const net::v1::ShowResponse& shown, std::ostream& out) {
  Table table({">NETWORK", "SUBNET", ">NODES HERE", ">ELSEWHERE", ">FORWARDS", "UNDERLAY"});
  for (const net::v1::Network& network : shown.networks().networks()) {
    table.Add(
        {std::to_string(network.number()), network.prefix(), std::to_string(network.nodes_size()),
         std::to_string(network.overlay().remotes_size()), std::to_string(network.forwards_size()),
         network.has_overlay() ? network.overlay().local() : "-"});
  }
  table.Print(out);
  PrintLeavingForwards(shown, out);
  PrintFabric(shown, out);
  if (!shown.has_networks()) {
    out << "nobody has said yet how the networks should be\n";
  } else if (shown.problem().empty()) {
    out << "all is as it should be";
  } else {
    out << "not as it should be: " << Printable(shown.problem());
  }
  if (shown.has_networks()) {
    out << " (instance " << Printable(shown.networks().instance());
    if (!shown.source().empty()) out << ", as " << Printable(shown.source()) << " says";
    out << ")\n";
  }
  PrintNames(shown, out);
  if (shown.has_fast_frames()) {
    out << HumanCount(shown.fast_frames()) << " frames took the fast path\n";
  }
  Table counters({"COUNTER", ">PACKETS", ">BYTES"});
  for (const net::v1::RuleCounter& counter : shown.counters()) {
    if (counter.packets() == 0) continue;
    counters.Add({counter.name(), HumanCount(counter.packets()), HumanBytes(counter.bytes())});
  }
  counters.Print(out);
  if (shown.repairs() != 0) {
    out << "mended " << shown.repairs() << " times what others had changed, last at "
        << LocalTime(shown.last_repair_unix_ms()) << "\n";
  }
}

void PrintPlan(const net::v1::PlanResponse& plan, bool with_rules, std::ostream& out) {
  for (const std::string& change : plan.changes()) out << Printable(change) << "\n";
  if (plan.new_rules()) out << "~ rules\n";
  if (plan.changes().empty() && !plan.new_rules()) out << "nothing to do\n";
  if (with_rules) out << "\n" << plan.ruleset();
}

void PrintTrace(const net::v1::TraceResponse& trace, std::ostream& out) {
  for (const net::v1::TraceStep& step : trace.steps()) {
    const char* const sign = step.end() == net::v1::TraceStep::ARRIVES     ? "arrives  "
                             : step.end() == net::v1::TraceStep::DROPPED   ? "DROPPED  "
                             : step.end() == net::v1::TraceStep::ELSEWHERE ? "leaves   "
                                                                           : "         ";
    out << sign << Printable(step.where()) << ": " << Printable(step.what()) << "\n";
  }
}

void PrintFindings(const net::v1::ExamineResponse& examined, std::ostream& out) {
  for (const net::v1::Finding& finding : examined.findings()) {
    const char* const level = finding.level() == net::v1::OK        ? "ok       "
                              : finding.level() == net::v1::WARNING ? "warning  "
                                                                    : "PROBLEM  ";
    out << level << Printable(finding.what()) << "\n";
    if (!finding.remedy().empty()) out << "         " << Printable(finding.remedy()) << "\n";
  }
}

void PrintNetworkEvent(const net::v1::NetworkEvent& event, std::ostream& out) {
  const std::string start =
      LocalTime(event.unix_ms()) + (event.repair() ? "  mended   " : "  changed  ");
  for (const std::string& change : event.changes()) out << start << Printable(change) << "\n";
  if (!event.problem().empty()) {
    out << LocalTime(event.unix_ms()) << "  problem  " << Printable(event.problem()) << "\n";
  }
  out.flush();
}

}  // namespace strata::tools
