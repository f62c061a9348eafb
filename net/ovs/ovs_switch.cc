#include "net/ovs/ovs_switch.h"

#include <algorithm>
#include <utility>

#include "common/log.h"
#include "net/apply.h"
#include "net/ovs/datapath.h"
#include "net/ovs/transaction.h"

namespace strata::net {
namespace {

constexpr char kRemedy[] = " (is openvswitch-switch started? systemctl start openvswitch-switch)";

// Of what a daemon does not answer.
Error Unavailable(const Error& error, const char* daemon) {
  const bool silent = error.code() == Code::kUnavailable || error.code() == Code::kDeadlineExceeded;
  if (!silent) return error;
  return Error(Code::kUnavailable, std::string(daemon) + ": " + error.message() + kRemedy,
               error.sys_errno());
}

bool IsController(const std::string& text) {
  const bool known = text.starts_with("tcp:") || text.starts_with("unix:");
  return known && text.find(':') + 1 < text.size() &&
         std::none_of(text.begin(), text.end(), [](char c) { return c <= ' ' || c > '~'; });
}

Json Labelled(const std::string& instance) {
  return Json::array({Json::array({"external_ids", "includes", OvsdbMap({{kLabel, instance}})})});
}

// The one row of QoS of this instance, or "".
Result<std::string> FindNoQos(OvsdbClient* database, const std::string& instance) {
  ASSIGN_OR_RETURN(const std::vector<Json> results, database->Transact(ObserveOperations()));
  ASSIGN_OR_RETURN(const ObservedSwitch observed, ParseSwitch(results, instance));
  return observed.no_qos.empty() ? std::string() : observed.no_qos.front();
}

}  // namespace

Result<OvsSwitch> OvsSwitch::Open(Options options) {
  if (!options.controller.empty() && !IsController(options.controller)) {
    return Error(Code::kInvalidArgument,
                 "a controller is tcp:ADDRESS:PORT or unix:PATH, not " + options.controller);
  }
  OvsSettings settings = {.tunnel = options.tunnel, .controller = options.controller};
  if (options.datapath.has_value()) {
    settings.datapath = *options.datapath;
  } else {
    ASSIGN_OR_RETURN(settings.datapath, ProbeDatapath());
  }
  LOG_INFO("Open vSwitch at " + options.run_dir + ", datapath " +
           std::string(DatapathName(settings.datapath)) +
           (settings.datapath == Datapath::kSystem
                ? ", the kernel's"
                : ", the one inside of ovs-vswitchd: this kernel has none, and this one is slow"));
  return OvsSwitch(std::move(options), std::move(settings));
}

Result<OvsdbClient> OvsSwitch::ConnectDatabase() const {
  auto stream = UnixStream::Connect(DatabasePath());
  if (!stream.ok()) return Unavailable(stream.error(), "ovsdb-server");
  return OvsdbClient(std::move(*stream), options_.patience);
}

Result<OpenFlowChannel> OvsSwitch::ConnectBridge(const std::string& bridge) const {
  auto stream = UnixStream::Connect(options_.run_dir + "/" + bridge + ".mgmt");
  if (!stream.ok()) return Unavailable(stream.error(), "ovs-vswitchd");
  auto channel = OpenFlowChannel::Open(std::move(*stream), options_.patience);
  if (!channel.ok()) return Unavailable(channel.error(), "ovs-vswitchd");
  return channel;
}

Result<OvsPlan> OvsSwitch::Plan(const DesiredNetwork& desired,
                                const std::vector<ObservedLink>& links) const {
  ASSIGN_OR_RETURN(OvsdbClient database, ConnectDatabase());
  const auto results = database.Transact(ObserveOperations());
  if (!results.ok()) return Unavailable(results.error(), "ovsdb-server");
  ASSIGN_OR_RETURN(ObservedSwitch observed, ParseSwitch(*results, options_.instance),
                   DatabasePath());
  for (const ObservedLink& link : links) {
    const auto is = [&](LinkKind kind) { return IsNameOf(link.name, options_.instance, kind); };
    const bool taken_in =
        settings_.datapath == Datapath::kNetdev ? link.promiscuous : link.master == "ovs-system";
    if (is(LinkKind::kVeth) && !taken_in) observed.left_out.insert(link.name);
    if ((is(LinkKind::kBridge) && link.is_kernel_bridge) ||
        (is(LinkKind::kTunnel) && link.tunnel.has_value())) {
      observed.kernel_links.insert(link.name);
    }
  }
  std::set<std::string> wanted;
  for (const Bridge& bridge : desired.bridges) wanted.insert(bridge.name);
  for (ObservedOvsBridge& bridge : observed.bridges) {
    if (bridge.instance != options_.instance || !wanted.contains(bridge.name)) continue;
    // What cannot be read now is written anew, which says what is wrong.
    auto channel = ConnectBridge(bridge.name);
    if (!channel.ok()) continue;
    auto flows = channel->ReadFlows();
    if (flows.ok()) bridge.flows = std::move(*flows);
  }
  return MakeOvsPlan(desired, settings_, observed);
}

Status OvsSwitch::Apply(const OvsPlan& plan) const {
  for (const std::string& name : plan.delete_links) RETURN_IF_ERROR(DeleteLink(name));
  ASSIGN_OR_RETURN(OvsdbClient database, ConnectDatabase());
  if (plan.ChangesRows()) RETURN_IF_ERROR(ApplyRows(&database, plan));
  for (const auto& [bridge, changes] : plan.flows) {
    ASSIGN_OR_RETURN(OpenFlowChannel channel, ConnectBridge(bridge));
    if (!changes.clear && changes.add.empty() && changes.remove.empty()) continue;
    const Status changed = channel.Change(changes);
    if (!changed.ok()) return Unavailable(changed.error(), "ovs-vswitchd");
  }
  return CheckInterfaces(&database);
}

Status OvsSwitch::ApplyRows(OvsdbClient* database, const OvsPlan& plan) const {
  const auto carry_out = [&](const std::vector<Json>& operations) -> Status {
    const auto results = database->Transact(operations);
    if (!results.ok()) return Unavailable(results.error(), "ovsdb-server");
    ASSIGN_OR_RETURN(const int64_t next_cfg, TakeNextCfg(*results));
    return WaitForConfiguration(database, next_cfg);
  };
  RETURN_IF_ERROR(carry_out(MakeTransaction(plan)));
  if (plan.reattach_ports.empty()) return Ok();
  ASSIGN_OR_RETURN(const std::string no_qos, FindNoQos(database, options_.instance));
  return carry_out(MakeReattachment(plan, no_qos));
}

Status OvsSwitch::WaitForConfiguration(OvsdbClient* database, int64_t next_cfg) const {
  const auto until = UnixStream::Clock::now() + options_.patience;
  for (;;) {
    const auto results = database->Transact(ObserveOperations());
    if (!results.ok()) return Unavailable(results.error(), "ovsdb-server");
    ASSIGN_OR_RETURN(const ObservedSwitch now, ParseSwitch(*results, options_.instance));
    if (now.cur_cfg >= next_cfg) return Ok();
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - UnixStream::Clock::now());
    // Less than the patience that the client has with the server.
    const int64_t timeout_ms = std::min(left.count(), options_.patience.count() / 2);
    const Json changed = {{"op", "wait"},
                          {"table", "Open_vSwitch"},
                          {"timeout", std::max<int64_t>(timeout_ms, 0)},
                          {"where", Json::array()},
                          {"columns", Json::array({"cur_cfg"})},
                          {"until", "!="},
                          {"rows", Json::array({Json{{"cur_cfg", now.cur_cfg}}})}};
    const auto waited = database->Transact({changed});
    if (waited.ok()) continue;
    if (waited.error().code() != Code::kDeadlineExceeded) {
      return Unavailable(waited.error(), "ovsdb-server");
    }
    if (left.count() <= options_.patience.count() / 2) {
      return Error(Code::kUnavailable,
                   "ovs-vswitchd: does not follow the database at " + DatabasePath() + kRemedy);
    }
  }
}

Status OvsSwitch::CheckInterfaces(OvsdbClient* database) const {
  const auto results = database->Transact({{{"op", "select"},
                                            {"table", "Interface"},
                                            {"where", Labelled(options_.instance)},
                                            {"columns", Json::array({"name", "type", "error"})}}});
  if (!results.ok()) return Unavailable(results.error(), "ovsdb-server");
  const auto rows = results->front().find("rows");
  if (rows == results->front().end() || !rows->is_array()) {
    return Error(Code::kCorrupt, DatabasePath() + ": no rows");
  }
  for (const Json& row : *rows) {
    if (!row.is_object() || !row.contains("name") || !row.contains("type") ||
        !row.contains("error")) {
      return Error(Code::kCorrupt, DatabasePath() + ": an interface without its columns");
    }
    ASSIGN_OR_RETURN(const std::string type, TakeString(row["type"]));
    ASSIGN_OR_RETURN(const std::string error, TakeString(row["error"]));
    // A node's link comes when the node starts.
    if (type.empty() || error.empty()) continue;
    ASSIGN_OR_RETURN(const std::string name, TakeString(row["name"]));
    return Error(Code::kInternal, "Open vSwitch cannot make " + name + ": " + error);
  }
  return Ok();
}

}  // namespace strata::net
