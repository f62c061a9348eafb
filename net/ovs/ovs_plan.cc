#include "net/ovs/ovs_plan.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "net/ovs/flows.h"

namespace strata::net {
namespace {

constexpr char kOpenFlow14[] = "OpenFlow14";

class Planner {
 public:
  Planner(const DesiredNetwork& desired, const OvsSettings& settings,
          const ObservedSwitch& observed)
      : desired_(desired), settings_(settings), observed_(observed) {
    plan_.instance = desired.instance;
    plan_.root = observed.root;
    if (!observed.no_qos.empty()) plan_.no_qos = observed.no_qos.front();
    for (const ObservedOvsBridge& bridge : observed.bridges) {
      for (const ObservedPort& port : bridge.ports)
        ports_.emplace(port.name, Place{&bridge, &port});
    }
  }

  Result<OvsPlan> Plan() {
    plan_.delete_links.assign(observed_.kernel_links.begin(), observed_.kernel_links.end());
    for (const Bridge& bridge : desired_.bridges) {
      wanted_bridges_.insert(bridge.name);
      ASSIGN_OR_RETURN(const ObservedOvsBridge* there, FindBridge(bridge));
      RETURN_IF_ERROR(PlanBridge(bridge, there));
    }
    for (const ObservedOvsBridge& bridge : observed_.bridges) PlanRemovals(bridge);
    for (size_t i = needs_no_qos_ ? 1 : 0; i < observed_.no_qos.size(); ++i) {
      plan_.delete_no_qos.push_back(observed_.no_qos[i]);
    }
    return std::move(plan_);
  }

 private:
  bool IsOurs(const std::string& instance) const { return instance == desired_.instance; }

  Error Others(const std::string& what) const {
    return Error(Code::kFailedPrecondition,
                 what + " of Open vSwitch is not of this instance (external_ids:" + kLabel + "=" +
                     desired_.instance + "), so it is left alone: remove it with ovs-vsctl");
  }

  Result<const ObservedOvsBridge*> FindBridge(const Bridge& wanted) const {
    for (const ObservedOvsBridge& bridge : observed_.bridges) {
      if (bridge.name != wanted.name) continue;
      if (!IsOurs(bridge.instance)) return Others("bridge " + wanted.name);
      return &bridge;
    }
    return nullptr;
  }

  OvsPortRow Row(const Bridge& bridge, const std::string& name) const {
    return {.name = name, .bridge = bridge.name};
  }

  std::vector<OvsPortRow> WantedPorts(const Bridge& bridge, const ObservedOvsBridge* there) {
    std::vector<OvsPortRow> ports;
    ports.push_back(Row(bridge, bridge.name));
    ports.back().type = "internal";
    ports.back().mtu_request = bridge.mtu();
    if (bridge.overlay) {
      const Overlay& overlay = *bridge.overlay;
      ports.push_back(Row(bridge, bridge.tunnel()));
      ports.back().type = TunnelKindName(settings_.tunnel);
      ports.back().options = {{"key", std::to_string(overlay.vni)},
                              {"local_ip", overlay.local.ToString()},
                              {"remote_ip", "flow"}};
      if (settings_.tunnel == TunnelKind::kVxlan) {
        ports.back().options.emplace("dst_port", std::to_string(overlay.port));
      }
      ports.back().of_port_request = kTunnelOfPort;
    }
    for (const uint32_t index : WantedNodes(bridge, there)) {
      ports.push_back(Row(bridge, VethName(desired_.instance, bridge.number, index)));
      ports.back().of_port_request = kFirstNodeOfPort + index;
      ports.back().of_node = true;
      ports.back().index = index;
    }
    return ports;
  }

  // With those of which it is not known.
  std::set<uint32_t> WantedNodes(const Bridge& bridge, const ObservedOvsBridge* there) {
    std::set<uint32_t> nodes;
    for (const Veth& veth : desired_.veths) {
      if (veth.network == bridge.number) nodes.insert(veth.index);
    }
    if (!desired_.keep_unknown_veths || there == nullptr) return nodes;
    for (const ObservedPort& port : there->ports) {
      if (!IsOurs(port.instance)) continue;
      for (uint32_t index = 0; index < kNodesMaxPerCluster; ++index) {
        if (port.name == VethName(desired_.instance, bridge.number, index)) nodes.insert(index);
      }
    }
    return nodes;
  }

  Status PlanBridge(const Bridge& bridge, const ObservedOvsBridge* there) {
    const OvsBridgeRow row = {there == nullptr ? "" : there->uuid, bridge.name,
                              std::string(DatapathName(settings_.datapath)), ToString(bridge.mac()),
                              settings_.controller};
    if (there == nullptr || !IsAsWanted(*there, row)) plan_.set_bridges.push_back(row);
    for (OvsPortRow& port : WantedPorts(bridge, there)) {
      wanted_ports_.emplace(bridge.name, port.name);
      port.bridge_uuid = row.uuid;
      RETURN_IF_ERROR(PlanPort(std::move(port), there));
    }
    PlanFlows(bridge, row, there);
    return Ok();
  }

  static std::vector<std::string> Controllers(const OvsBridgeRow& row) {
    return row.controller.empty() ? std::vector<std::string>() : std::vector{row.controller};
  }

  static bool IsAsWanted(const ObservedOvsBridge& there, const OvsBridgeRow& row) {
    const auto has = [&](const char* key, const std::string& value) {
      const auto found = there.other_config.find(key);
      return found != there.other_config.end() && found->second == value;
    };
    const bool speaks = there.protocols.empty() ||
                        std::find(there.protocols.begin(), there.protocols.end(), kOpenFlow14) !=
                            there.protocols.end();
    return there.datapath_type == row.datapath_type && there.fail_mode == "secure" &&
           has("hwaddr", row.mac) && has("disable-in-band", "true") && speaks &&
           there.controllers == Controllers(row);
  }

  Status PlanPort(OvsPortRow port, const ObservedOvsBridge* there) {
    const ObservedPort* observed = nullptr;
    if (const auto found = ports_.find(port.name); found != ports_.end()) {
      const Place& place = found->second;
      if (!IsOurs(place.port->instance)) {
        return Others("port " + port.name + " of bridge " + place.bridge->name);
      }
      if (place.bridge == there) observed = place.port;
    }
    if (there != nullptr) RETURN_IF_ERROR(CheckNumber(port, *there));
    needs_no_qos_ = needs_no_qos_ || port.of_node;
    if (observed == nullptr || observed->interface_uuid.empty()) {
      if (observed != nullptr) Remove(*observed, *there);
      plan_.set_ports.push_back(std::move(port));
      return Ok();
    }
    const ObservedInterface& interface = observed->interface;
    const bool another_number = port.of_port_request > 0 && interface.of_port > 0 &&
                                interface.of_port != port.of_port_request;
    if (another_number || (port.of_node && observed_.left_out.contains(port.name))) {
      Remove(*observed, *there);
      plan_.reattach_ports.push_back(std::move(port));
    } else if (!IsAsWanted(*observed, port)) {
      port.uuid = observed->uuid;
      port.interface_uuid = observed->interface_uuid;
      plan_.set_ports.push_back(std::move(port));
    }
    return Ok();
  }

  Status CheckNumber(const OvsPortRow& port, const ObservedOvsBridge& there) const {
    for (const ObservedPort& one : there.ports) {
      if (!IsOurs(one.instance) && one.interface.of_port > 0 &&
          one.interface.of_port == port.of_port_request) {
        return Others("port " + one.name + " of bridge " + there.name + " has number " +
                      std::to_string(port.of_port_request) + ", which is " + port.name + "'s, and");
      }
    }
    return Ok();
  }

  bool IsAsWanted(const ObservedPort& there, const OvsPortRow& row) const {
    const ObservedInterface& interface = there.interface;
    return interface.type == row.type && interface.options == row.options &&
           interface.of_port_request == row.of_port_request &&
           interface.mtu_request == row.mtu_request &&
           (!row.of_node || (!there.qos.empty() && there.qos == plan_.no_qos));
  }

  void Remove(const ObservedPort& port, const ObservedOvsBridge& bridge) {
    plan_.delete_ports.push_back({{port.uuid, port.name}, {bridge.uuid, bridge.name}});
  }

  // What is ours and not wanted, or not there.
  void PlanRemovals(const ObservedOvsBridge& bridge) {
    const bool wanted = wanted_bridges_.contains(bridge.name);
    if (IsOurs(bridge.instance) && !wanted) {
      plan_.delete_bridges.push_back({bridge.uuid, bridge.name});
      return;
    }
    for (const ObservedPort& port : bridge.ports) {
      if (IsOurs(port.instance) && (!wanted || !wanted_ports_.contains({bridge.name, port.name}))) {
        Remove(port, bridge);
      }
    }
  }

  void PlanFlows(const Bridge& bridge, const OvsBridgeRow& row, const ObservedOvsBridge* there) {
    // Another datapath or controller makes the switch forget all flows.
    const bool known = there != nullptr && there->flows.has_value() &&
                       there->datapath_type == row.datapath_type &&
                       there->controllers == Controllers(row);
    FlowChanges changes;
    if (row.controller.empty()) {
      const std::set<uint32_t> nodes = WantedNodes(bridge, there);
      changes.add = MakeFlows(bridge, {nodes.begin(), nodes.end()});
      changes.clear = !known;
      if (known) KeepWhatIsThere(*there->flows, &changes);
    } else if (known) {
      for (const Flow& flow : *there->flows) {
        if (flow.cookie == kFlowCookie) changes.remove.push_back(flow);
      }
    }
    if (!known || !changes.add.empty() || !changes.remove.empty()) {
      plan_.flows.push_back({bridge.name, std::move(changes)});
    }
  }

  // Flows of others on a bridge of ours go, because one of them could join what must be apart.
  static void KeepWhatIsThere(const std::vector<Flow>& there, FlowChanges* changes) {
    const auto key = [](const Flow& flow) {
      return std::tie(flow.table, flow.priority, flow.match);
    };
    const auto before = [&](const Flow& a, const Flow& b) { return key(a) < key(b); };
    std::set<Flow, decltype(before)> wanted(changes->add.begin(), changes->add.end(), before);
    for (const Flow& flow : there) {
      const auto found = wanted.find(flow);
      if (found == wanted.end()) {
        changes->remove.push_back(flow);
      } else if (*found == flow) {
        wanted.erase(found);
      }
    }
    changes->add.assign(wanted.begin(), wanted.end());
  }

  const DesiredNetwork& desired_;
  const OvsSettings& settings_;
  const ObservedSwitch& observed_;
  OvsPlan plan_;
  std::set<std::string> wanted_bridges_;
  struct Place {
    const ObservedOvsBridge* bridge;
    const ObservedPort* port;
  };
  std::map<std::string, Place> ports_;                          // That are there.
  std::set<std::pair<std::string, std::string>> wanted_ports_;  // Of a bridge.
  bool needs_no_qos_ = false;
};

}  // namespace

std::string_view TunnelKindName(TunnelKind kind) {
  return kind == TunnelKind::kVxlan ? "vxlan" : "gre";
}

Result<TunnelKind> ParseTunnelKind(std::string_view text) {
  for (const TunnelKind kind : {TunnelKind::kVxlan, TunnelKind::kGre}) {
    if (text == TunnelKindName(kind)) return kind;
  }
  return Error(Code::kInvalidArgument, "a tunnel is vxlan or gre, not " + std::string(text));
}

std::string_view DatapathName(Datapath datapath) {
  return datapath == Datapath::kSystem ? "system" : "netdev";
}

Result<OvsPlan> MakeOvsPlan(const DesiredNetwork& desired, const OvsSettings& settings,
                            const ObservedSwitch& observed) {
  RETURN_IF_ERROR(CheckDesired(desired));
  return Planner(desired, settings, observed).Plan();
}

}  // namespace strata::net
