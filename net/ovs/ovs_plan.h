// What has to be done so that Open vSwitch has the bridges, ports, tunnels and flows of a desired
// network. Pure. net/ovs/ovs_switch.h observes, and carries a plan out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/desired.h"
#include "net/ovs/openflow_channel.h"
#include "net/ovs/switch_state.h"

namespace strata::net {

enum class TunnelKind { kVxlan, kGre };
std::string_view TunnelKindName(TunnelKind kind);  // "vxlan", "gre": also Open vSwitch's names.
// kInvalidArgument for anything else.
Result<TunnelKind> ParseTunnelKind(std::string_view text);

// "system" is the kernel's module, "netdev" the one inside of ovs-vswitchd.
enum class Datapath { kSystem, kNetdev };
std::string_view DatapathName(Datapath datapath);

// How the bridges are made.
struct OvsSettings {
  Datapath datapath = Datapath::kSystem;
  TunnelKind tunnel = TunnelKind::kVxlan;
  std::string controller;  // Of somebody else, in place of our flows: "tcp:ADDRESS:PORT", "unix:…".
};

struct OvsBridgeRow {
  std::string uuid;  // "": it is inserted.
  std::string name;
  std::string datapath_type;
  std::string mac;
  std::string controller;
};

// A port, with its one interface.
struct OvsPortRow {
  std::string uuid;  // "": both are inserted.
  std::string interface_uuid;
  std::string name;
  std::string bridge;
  std::string bridge_uuid;  // "": one that is inserted.
  std::string type;         // Of the interface: "" is a link of the kernel's.
  OvsdbStrings options;
  int64_t of_port_request = 0;
  int64_t mtu_request = 0;
  bool of_node = false;
  uint32_t index = 0;  // A node's.
};

struct OvsRowRef {
  std::string uuid;
  std::string name;
};

struct OvsPlan {
  std::string instance;
  std::string root;
  std::vector<std::string> delete_links;  // Of the linux driver, where ours must be.
  std::vector<OvsRowRef> delete_bridges;
  struct PortRemoval {
    OvsRowRef port;
    OvsRowRef bridge;
  };
  std::vector<PortRemoval> delete_ports;
  std::vector<OvsBridgeRow> set_bridges;
  std::vector<OvsPortRow> set_ports;
  // They are removed first, and put back when ovs-vswitchd has seen that.
  std::vector<OvsPortRow> reattach_ports;
  // ovs-vswitchd takes rates away from the links it takes in, unless a port says "linux-noop": one
  // row for all nodes, "" when it is to be made.
  std::string no_qos;
  std::vector<std::string> delete_no_qos;
  struct BridgeFlows {
    std::string bridge;
    FlowChanges changes;  // Empty: ovs-vswitchd must only be there.
  };
  std::vector<BridgeFlows> flows;

  bool ChangesRows() const {
    return !delete_bridges.empty() || !delete_ports.empty() || !set_bridges.empty() ||
           !set_ports.empty() || !reattach_ports.empty() || !delete_no_qos.empty();
  }
  bool empty() const { return !ChangesRows() && flows.empty() && delete_links.empty(); }
};

// Errors are CheckDesired's; kFailedPrecondition names a row of somebody else in the place of one
// of ours, which is left alone.
Result<OvsPlan> MakeOvsPlan(const DesiredNetwork& desired, const OvsSettings& settings,
                            const ObservedSwitch& observed);

// One line per change, as net/plan_text.h has them; flows are counted.
std::vector<std::string> DescribeOvsChanges(const OvsPlan& plan);

}  // namespace strata::net
