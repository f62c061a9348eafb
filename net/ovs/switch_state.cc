#include "net/ovs/switch_state.h"

#include <utility>

namespace strata::net {
namespace {

using RowsByUuid = std::map<std::string, const Json*>;

Json Select(const char* table, const std::vector<std::string>& columns) {
  return {{"op", "select"}, {"table", table}, {"where", Json::array()}, {"columns", columns}};
}

Result<const Json*> Rows(const Json& result) {
  const auto rows = result.find("rows");
  if (rows == result.end() || !rows->is_array()) return Error(Code::kCorrupt, "no rows");
  for (const Json& row : *rows) {
    if (!row.is_object()) return Error(Code::kCorrupt, "a row that is no object");
  }
  return &*rows;
}

Result<const Json*> Column(const Json& row, const char* name) {
  const auto column = row.find(name);
  if (column == row.end()) return Error(Code::kCorrupt, std::string("a row without ") + name);
  return &*column;
}

template <typename T, typename Take>
Status Read(T* value, const Take& take, const Json& row, const char* name) {
  ASSIGN_OR_RETURN(const Json* column, Column(row, name));
  ASSIGN_OR_RETURN(*value, take(*column), name);
  return Ok();
}

Result<RowsByUuid> ByUuid(const Json& result) {
  ASSIGN_OR_RETURN(const Json* rows, Rows(result));
  RowsByUuid by_uuid;
  for (const Json& row : *rows) {
    std::string uuid;
    RETURN_IF_ERROR(Read(&uuid, TakeUuid, row, "_uuid"));
    by_uuid.emplace(std::move(uuid), &row);
  }
  return by_uuid;
}

const Json* Find(const RowsByUuid& rows, const std::string& uuid) {
  const auto found = rows.find(uuid);
  return found == rows.end() ? nullptr : found->second;
}

Result<std::string> TakeFirstUuid(const Json& value) {
  ASSIGN_OR_RETURN(const auto uuids, TakeUuids(value));
  return uuids.empty() ? std::string() : uuids.front();
}

Result<std::string> TakeInstance(const Json& value) {
  ASSIGN_OR_RETURN(const OvsdbStrings ids, TakeMap(value));
  const auto label = ids.find(kLabel);
  return label == ids.end() ? std::string() : label->second;
}

Result<std::vector<std::string>> TakeStrings(const Json& value) {
  if (value.is_string()) return std::vector<std::string>{value.get<std::string>()};
  if (!value.is_array() || value.size() != 2 || value[0] != "set" || !value[1].is_array()) {
    return Error(Code::kCorrupt, "no set of strings");
  }
  std::vector<std::string> strings;
  for (const Json& one : value[1]) {
    if (!one.is_string()) return Error(Code::kCorrupt, "no set of strings");
    strings.push_back(one.get<std::string>());
  }
  return strings;
}

Status ReadInterface(const Json& row, ObservedInterface* interface) {
  RETURN_IF_ERROR(Read(&interface->type, TakeString, row, "type"));
  RETURN_IF_ERROR(Read(&interface->options, TakeMap, row, "options"));
  RETURN_IF_ERROR(Read(&interface->external_ids, TakeMap, row, "external_ids"));
  RETURN_IF_ERROR(Read(&interface->of_port, TakeInteger, row, "ofport"));
  RETURN_IF_ERROR(Read(&interface->of_port_request, TakeInteger, row, "ofport_request"));
  RETURN_IF_ERROR(Read(&interface->mtu_request, TakeInteger, row, "mtu_request"));
  return Read(&interface->error, TakeString, row, "error");
}

Status ReadPort(const Json& row, const RowsByUuid& interfaces, ObservedPort* port) {
  RETURN_IF_ERROR(Read(&port->name, TakeString, row, "name"));
  RETURN_IF_ERROR(Read(&port->instance, TakeInstance, row, "external_ids"));
  RETURN_IF_ERROR(Read(&port->qos, TakeFirstUuid, row, "qos"));
  RETURN_IF_ERROR(Read(&port->interface_uuid, TakeFirstUuid, row, "interfaces"));
  const Json* interface = Find(interfaces, port->interface_uuid);
  return interface == nullptr ? Ok() : ReadInterface(*interface, &port->interface);
}

struct Tables {
  RowsByUuid ports;
  RowsByUuid interfaces;
  RowsByUuid controllers;
};

Status ReadBridge(const Json& row, const Tables& tables, ObservedOvsBridge* bridge) {
  RETURN_IF_ERROR(Read(&bridge->uuid, TakeUuid, row, "_uuid"));
  RETURN_IF_ERROR(Read(&bridge->name, TakeString, row, "name"));
  RETURN_IF_ERROR(Read(&bridge->instance, TakeInstance, row, "external_ids"));
  RETURN_IF_ERROR(Read(&bridge->datapath_type, TakeString, row, "datapath_type"));
  RETURN_IF_ERROR(Read(&bridge->fail_mode, TakeString, row, "fail_mode"));
  RETURN_IF_ERROR(Read(&bridge->other_config, TakeMap, row, "other_config"));
  RETURN_IF_ERROR(Read(&bridge->protocols, TakeStrings, row, "protocols"));
  std::vector<std::string> uuids;
  RETURN_IF_ERROR(Read(&uuids, TakeUuids, row, "controller"));
  for (const std::string& uuid : uuids) {
    const Json* controller = Find(tables.controllers, uuid);
    if (controller == nullptr) continue;
    RETURN_IF_ERROR(Read(&bridge->controllers.emplace_back(), TakeString, *controller, "target"));
  }
  RETURN_IF_ERROR(Read(&uuids, TakeUuids, row, "ports"));
  for (const std::string& uuid : uuids) {
    const Json* port = Find(tables.ports, uuid);
    if (port == nullptr) continue;
    bridge->ports.push_back({.uuid = uuid});
    RETURN_IF_ERROR(ReadPort(*port, tables.interfaces, &bridge->ports.back()));
  }
  return Ok();
}

enum Operation { kRoot, kBridges, kPorts, kInterfaces, kControllers, kQos, kOperations };

}  // namespace

std::vector<Json> ObserveOperations() {
  return {
      Select("Open_vSwitch", {"_uuid", "next_cfg", "cur_cfg"}),
      Select("Bridge", {"_uuid", "name", "external_ids", "datapath_type", "fail_mode",
                        "other_config", "protocols", "controller", "ports"}),
      Select("Port", {"_uuid", "name", "external_ids", "qos", "interfaces"}),
      Select("Interface", {"_uuid", "type", "options", "external_ids", "ofport", "ofport_request",
                           "mtu_request", "error"}),
      Select("Controller", {"_uuid", "target"}),
      Select("QoS", {"_uuid", "external_ids"}),
  };
}

Result<ObservedSwitch> ParseSwitch(const std::vector<Json>& results, const std::string& instance) {
  if (results.size() != kOperations) return Error(Code::kCorrupt, "another number of results");
  ObservedSwitch observed;
  ASSIGN_OR_RETURN(const RowsByUuid root, ByUuid(results[kRoot]), "table Open_vSwitch");
  if (root.size() != 1) {
    return Error(Code::kFailedPrecondition,
                 "the database of Open vSwitch is not set up yet: ovs-vsctl init");
  }
  const Json& only = *root.begin()->second;
  observed.root = root.begin()->first;
  RETURN_IF_ERROR(Read(&observed.next_cfg, TakeInteger, only, "next_cfg"));
  RETURN_IF_ERROR(Read(&observed.cur_cfg, TakeInteger, only, "cur_cfg"));
  Tables tables;
  ASSIGN_OR_RETURN(tables.ports, ByUuid(results[kPorts]), "table Port");
  ASSIGN_OR_RETURN(tables.interfaces, ByUuid(results[kInterfaces]), "table Interface");
  ASSIGN_OR_RETURN(tables.controllers, ByUuid(results[kControllers]), "table Controller");
  ASSIGN_OR_RETURN(const Json* bridges, Rows(results[kBridges]), "table Bridge");
  for (const Json& row : *bridges) {
    RETURN_IF_ERROR(ReadBridge(row, tables, &observed.bridges.emplace_back()), "table Bridge");
  }
  ASSIGN_OR_RETURN(const RowsByUuid qos, ByUuid(results[kQos]), "table QoS");
  for (const auto& [uuid, row] : qos) {
    std::string owner;
    RETURN_IF_ERROR(Read(&owner, TakeInstance, *row, "external_ids"), "table QoS");
    if (owner == instance) observed.no_qos.push_back(uuid);
  }
  return observed;
}

}  // namespace strata::net
