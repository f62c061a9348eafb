// What Open vSwitch has: rows of its database and the flows of bridges, as net/ovs/plan.h compares
// them. Parsing is pure; rows are foreign.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "net/ovs/openflow.h"
#include "net/ovs/ovsdb.h"

namespace strata::net {

// In external_ids of a row: the instance that it belongs to. What has none is never removed.
inline constexpr char kLabel[] = "strata-instance";

struct ObservedInterface {
  std::string type;
  OvsdbStrings options;
  OvsdbStrings external_ids;
  int64_t of_port = 0;  // 0: not yet, -1: it could not be opened.
  int64_t of_port_request = 0;
  int64_t mtu_request = 0;
  std::string error;
};

struct ObservedPort {
  std::string uuid;
  std::string name;
  std::string instance;  // Of its label, or "".
  std::string qos;       // Its UUID, or "".
  // Its first one's; ours have one each, with the port's name.
  std::string interface_uuid;
  ObservedInterface interface;
};

struct ObservedOvsBridge {
  std::string uuid;
  std::string name;
  std::string instance;
  std::string datapath_type;
  std::string fail_mode;
  OvsdbStrings other_config;
  std::vector<std::string> protocols;
  std::vector<std::string> controllers;  // Their targets.
  std::vector<ObservedPort> ports;
  // As they are, or absent: ovs-vswitchd does not say.
  std::optional<std::vector<Flow>> flows;
};

struct ObservedSwitch {
  std::string root;  // UUID of the one row of table Open_vSwitch.
  int64_t next_cfg = 0;
  int64_t cur_cfg = 0;
  std::vector<ObservedOvsBridge> bridges;  // All, others' too.
  std::vector<std::string> no_qos;         // UUIDs of this instance's rows of table QoS.
  // Links that are there but that ovs-vswitchd has not taken in, although they are ports.
  std::set<std::string> left_out;
  std::set<std::string> kernel_links;  // Bridges and tunnels of the kernel with names of ours.
};

// The operations that read it, and what their results say. kCorrupt names what has another form.
std::vector<Json> ObserveOperations();
Result<ObservedSwitch> ParseSwitch(const std::vector<Json>& results, const std::string& instance);

}  // namespace strata::net
