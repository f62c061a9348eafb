#include "net/plan_text.h"

#include <set>

namespace strata::net {
namespace {

std::string Tunnel(const Bridge& bridge) {
  const Overlay& overlay = *bridge.overlay;
  return "tunnel " + bridge.tunnel() + " of " + bridge.name + " vni " +
         std::to_string(overlay.vni) + " local " + overlay.local.ToString() + " port " +
         std::to_string(overlay.port) + " mtu " + std::to_string(bridge.mtu());
}

std::string Settings(const BridgeSettings& settings) {
  return settings.name + " up mtu " + std::to_string(settings.mtu) +
         (settings.mac ? " mac " + ToString(*settings.mac) : "") +
         (settings.route_localnet ? " route_localnet" : "");
}

std::string Rate(const Veth& veth) {
  return veth.name + (veth.bits_per_s_max == 0
                          ? " without a limit"
                          : " " + std::to_string(veth.bits_per_s_max) + " bit/s");
}

}  // namespace

std::vector<std::string> DescribeChanges(const NetworkPlan& plan) {
  std::vector<std::string> lines;
  std::set<std::string> created;
  for (const auto* names : {&plan.delete_links, &plan.delete_last}) {
    for (const std::string& name : *names) lines.push_back("- link " + name);
  }
  for (const Bridge& bridge : plan.create_bridges) created.insert(bridge.name);
  for (const BridgeSettings& settings : plan.set_bridges) {
    lines.push_back((created.contains(settings.name) ? "+ bridge " : "~ bridge ") +
                    Settings(settings));
  }
  for (const Bridge& bridge : plan.address_bridges) {
    lines.push_back("+ address " + bridge.gateway().ToString() + "/" +
                    std::to_string(bridge.prefix.length) + " of " + bridge.name);
  }
  for (const Bridge& bridge : plan.address6_bridges) {
    lines.push_back("+ address " + bridge.gateway6().ToString() + "/" +
                    std::to_string(bridge.prefix6->length) + " of " + bridge.name);
  }
  for (const std::string& name : plan.add_transit) lines.push_back("+ transit address of " + name);
  for (const std::string& name : plan.remove_transit) {
    lines.push_back("- transit address of " + name);
  }
  created.clear();
  for (const Bridge& bridge : plan.create_tunnels) created.insert(bridge.name);
  for (const Bridge& bridge : plan.set_tunnels) {
    lines.push_back((created.contains(bridge.name) ? "+ " : "~ ") + Tunnel(bridge));
  }
  for (const FdbEntry& entry : plan.delete_fdb) {
    lines.push_back("- way to " + ToString(entry.mac) + " by " + entry.tunnel);
  }
  for (const FdbEntry& entry : plan.set_fdb) {
    lines.push_back("+ way to " + ToString(entry.mac) + " by " + entry.tunnel + " at " +
                    entry.host.ToString());
  }
  for (const Neighbour& gone : plan.delete_neighbours) {
    lines.push_back("- neighbour " + gone.address.ToString() + " of " + gone.bridge);
  }
  for (const Neighbour& one : plan.set_neighbours) {
    lines.push_back("+ neighbour " + one.address.ToString() + " of " + one.bridge + " is " +
                    ToString(one.mac));
  }
  for (const PortSettings& port : plan.set_ports) {
    lines.push_back("~ port " + port.name + " hairpin " + (port.hairpin ? "on" : "off"));
  }
  for (const Veth& veth : plan.set_rates) lines.push_back("~ rate of " + Rate(veth));
  return lines;
}

}  // namespace strata::net
