#include "net/ovs/ovs_plan.h"

namespace strata::net {
namespace {

std::string Words(const OvsPortRow& port) {
  std::string text = port.name + " of " + port.bridge;
  if (!port.type.empty()) text += " type " + port.type;
  for (const auto& [key, value] : port.options) text += " " + key + " " + value;
  if (port.mtu_request > 0) text += " mtu " + std::to_string(port.mtu_request);
  if (port.of_port_request > 0) text += " number " + std::to_string(port.of_port_request);
  return text;
}

}  // namespace

std::vector<std::string> DescribeOvsChanges(const OvsPlan& plan) {
  std::vector<std::string> lines;
  for (const std::string& name : plan.delete_links) lines.push_back("- link " + name);
  for (const OvsRowRef& bridge : plan.delete_bridges) lines.push_back("- switch " + bridge.name);
  for (const auto& gone : plan.delete_ports) {
    lines.push_back("- port " + gone.port.name + " of " + gone.bridge.name);
  }
  for (const OvsBridgeRow& bridge : plan.set_bridges) {
    lines.push_back((bridge.uuid.empty() ? "+ switch " : "~ switch ") + bridge.name + " datapath " +
                    bridge.datapath_type + " mac " + bridge.mac +
                    (bridge.controller.empty() ? "" : " controller " + bridge.controller));
  }
  for (const OvsPortRow& port : plan.set_ports) {
    lines.push_back((port.uuid.empty() ? "+ port " : "~ port ") + Words(port));
  }
  for (const OvsPortRow& port : plan.reattach_ports) lines.push_back("+ port " + Words(port));
  for (const auto& [bridge, changes] : plan.flows) {
    const size_t gone = changes.remove.size();
    lines.push_back("~ flows of " + bridge + ": " + std::to_string(changes.add.size()) + " new" +
                    (changes.clear ? ", none of before"
                     : gone > 0    ? ", " + std::to_string(gone) + " gone"
                                   : ""));
  }
  return lines;
}

}  // namespace strata::net
