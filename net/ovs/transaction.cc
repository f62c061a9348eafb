#include "net/ovs/transaction.h"

#include <map>
#include <utility>

#include "net/ovs/switch_state.h"

namespace strata::net {
namespace {

Json Where(const std::string& uuid) {
  return Json::array({Json::array({"_uuid", "==", OvsdbUuid(uuid)})});
}

Json Mutate(const char* table, const std::string& uuid, Json mutations) {
  return {{"op", "mutate"}, {"table", table}, {"where", Where(uuid)}, {"mutations", mutations}};
}

Json Mutation(const char* column, const char* mutator, Json value) {
  return Json::array({column, mutator, std::move(value)});
}

Json Insert(const char* table, const std::string& uuid_name, Json row) {
  return {{"op", "insert"}, {"table", table}, {"uuid-name", uuid_name}, {"row", std::move(row)}};
}

Json Update(const char* table, const std::string& uuid, Json row) {
  return {{"op", "update"}, {"table", table}, {"where", Where(uuid)}, {"row", std::move(row)}};
}

class Transaction {
 public:
  explicit Transaction(const OvsPlan& plan) : plan_(plan) {}

  void RemoveRows() {
    for (const OvsRowRef& bridge : plan_.delete_bridges) {
      Add(Mutate("Open_vSwitch", plan_.root,
                 Json::array({Mutation("bridges", "delete", OvsdbUuid(bridge.uuid))})));
    }
    for (const auto& gone : plan_.delete_ports) {
      Add(Mutate("Bridge", gone.bridge.uuid,
                 Json::array({Mutation("ports", "delete", OvsdbUuid(gone.port.uuid))})));
    }
    for (const std::string& uuid : plan_.delete_no_qos) {
      // A reference counts until the end, that of a port which goes, too.
      Add({{"op", "update"},
           {"table", "Port"},
           {"where", Json::array({Json::array({"qos", "==", OvsdbUuid(uuid)})})},
           {"row", {{"qos", OvsdbSet({})}}}});
      Add({{"op", "delete"}, {"table", "QoS"}, {"where", Where(uuid)}});
    }
  }

  void SetPorts(const std::vector<OvsPortRow>& ports, const std::string& no_qos) {
    no_qos_ = no_qos.empty() ? Json() : OvsdbUuid(no_qos);
    for (const OvsPortRow& port : ports) {
      if (port.uuid.empty()) {
        InsertPort(port);
      } else {
        Add(Update("Interface", port.interface_uuid, InterfaceRow(port)));
        if (port.of_node) Add(Update("Port", port.uuid, {{"qos", NoQos()}}));
      }
    }
  }

  void SetBridges() {
    for (const OvsBridgeRow& bridge : plan_.set_bridges) {
      Json row = {{"datapath_type", bridge.datapath_type},
                  {"fail_mode", "secure"},
                  {"protocols", OvsdbSet({})},
                  {"controller", Controller(bridge)}};
      const OvsdbStrings config = {{"hwaddr", bridge.mac}, {"disable-in-band", "true"}};
      if (bridge.uuid.empty()) {
        row["name"] = bridge.name;
        row["other_config"] = OvsdbMap(config);
        row["external_ids"] = Label();
        row["ports"] = OvsdbSet(new_ports_[bridge.name]);
        const std::string name = NewName("bridge");
        Add(Insert("Bridge", name, std::move(row)));
        Add(Mutate("Open_vSwitch", plan_.root,
                   Json::array({Mutation("bridges", "insert", OvsdbNewRow(name))})));
        continue;
      }
      Add(Update("Bridge", bridge.uuid, std::move(row)));
      // An insertion leaves the value of a key that is there as it is.
      Add(Mutate(
          "Bridge", bridge.uuid,
          Json::array({Mutation("other_config", "delete", OvsdbSet({"hwaddr", "disable-in-band"})),
                       Mutation("other_config", "insert", OvsdbMap(config))})));
    }
  }

  std::vector<Json> Finish() {
    Add(Mutate("Open_vSwitch", plan_.root, Json::array({Mutation("next_cfg", "+=", 1)})));
    Add({{"op", "select"},
         {"table", "Open_vSwitch"},
         {"where", Where(plan_.root)},
         {"columns", Json::array({"next_cfg"})}});
    return std::move(operations_);
  }

 private:
  void Add(Json operation) { operations_.push_back(std::move(operation)); }
  std::string NewName(const char* kind) { return kind + std::to_string(++names_); }
  Json Label() const { return OvsdbMap({{kLabel, plan_.instance}}); }

  Json NoQos() {
    if (no_qos_.is_null()) {
      const std::string name = NewName("qos");
      Add(Insert("QoS", name, {{"type", "linux-noop"}, {"external_ids", Label()}}));
      no_qos_ = OvsdbNewRow(name);
    }
    return no_qos_;
  }

  Json Controller(const OvsBridgeRow& bridge) {
    if (bridge.controller.empty()) return OvsdbSet({});
    const std::string name = NewName("controller");
    Add(Insert("Controller", name,
               {{"target", bridge.controller},
                {"connection_mode", "out-of-band"},
                {"external_ids", Label()}}));
    return OvsdbNewRow(name);
  }

  Json InterfaceRow(const OvsPortRow& port) const {
    const auto optional = [](int64_t value) { return value > 0 ? Json(value) : OvsdbSet({}); };
    return {{"type", port.type},
            {"options", OvsdbMap(port.options)},
            {"external_ids", Label()},
            {"ofport_request", optional(port.of_port_request)},
            {"mtu_request", optional(port.mtu_request)}};
  }

  void InsertPort(const OvsPortRow& port) {
    const std::string interface = NewName("interface");
    Json row = InterfaceRow(port);
    row["name"] = port.name;
    Add(Insert("Interface", interface, std::move(row)));
    const std::string name = NewName("port");
    row = {{"name", port.name}, {"interfaces", OvsdbNewRow(interface)}, {"external_ids", Label()}};
    if (port.of_node) row["qos"] = NoQos();
    Add(Insert("Port", name, std::move(row)));
    if (port.bridge_uuid.empty()) {
      new_ports_[port.bridge].push_back(OvsdbNewRow(name));
    } else {
      Add(Mutate("Bridge", port.bridge_uuid,
                 Json::array({Mutation("ports", "insert", OvsdbNewRow(name))})));
    }
  }

  const OvsPlan& plan_;
  std::vector<Json> operations_;
  std::map<std::string, std::vector<Json>> new_ports_;  // Of bridges that are inserted.
  Json no_qos_;                                         // Of nodes' ports; null: not yet there.
  int names_ = 0;
};

}  // namespace

std::vector<Json> MakeTransaction(const OvsPlan& plan) {
  Transaction transaction(plan);
  transaction.RemoveRows();
  transaction.SetPorts(plan.set_ports, plan.no_qos);
  transaction.SetBridges();
  return transaction.Finish();
}

std::vector<Json> MakeReattachment(const OvsPlan& plan, const std::string& no_qos) {
  Transaction transaction(plan);
  transaction.SetPorts(plan.reattach_ports, no_qos);
  return transaction.Finish();
}

Result<int64_t> TakeNextCfg(const std::vector<Json>& results) {
  const Error error(Code::kCorrupt, "ovsdb-server does not say what next_cfg is");
  if (results.empty()) return error;
  const auto rows = results.back().find("rows");
  if (rows == results.back().end() || !rows->is_array() || rows->size() != 1) return error;
  const Json& row = rows->front();
  if (!row.is_object() || !row.contains("next_cfg")) return error;
  return TakeInteger(row["next_cfg"]);
}

}  // namespace strata::net
