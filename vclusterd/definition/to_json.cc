#include "vclusterd/definition/to_json.h"

#include <cmath>

#include "common/byte_size.h"
#include "vclusterd/definition/choices.h"
#include "vclusterd/definition/units.h"

namespace strata::vcluster::file {
namespace {

using Json = nlohmann::ordered_json;

// A map that is filled key by key.
class Keys {
 public:
  explicit Keys(Defaults defaults) : keep_(defaults == Defaults::kKeep) {}

  // Unless it is the default.
  template <typename T>
  void Add(const char* key, const T& value, const T& by_default, Json written) {
    if (keep_ || value != by_default) map_[key] = std::move(written);
  }
  // Unless it is empty.
  void AddSome(const char* key, Json written) {
    if (!written.empty()) map_[key] = std::move(written);
  }
  void AddAlways(const char* key, Json written) { map_[key] = std::move(written); }
  template <typename T, size_t N>
  void AddChoice(const char* key, const Choices<T, N>& choices, T value, T by_default) {
    Add(key, value, by_default, ChoiceText(choices, value));
  }

  Json Take() { return std::move(map_); }

 private:
  const bool keep_;
  Json map_ = Json::object();
};

Json NumberJson(double value) {
  if (std::abs(value) < 1e15 && value == std::floor(value)) return static_cast<int64_t>(value);
  return value;
}

Json CommandJson(const std::vector<std::string>& argv) {
  const bool is_script = argv.size() == 3 && argv[0] == "/bin/sh" && argv[1] == "-c" &&
                         argv[2].find_first_not_of(" \t\n") != std::string::npos;
  if (is_script) return argv[2];
  return argv;
}

Json LimitsJson(const Limits& limits, Defaults defaults) {
  const Limits none;
  Keys keys(defaults);
  keys.Add("cpus", limits.cpus, none.cpus, NumberJson(limits.cpus));
  keys.Add("memory", limits.memory_bytes, none.memory_bytes, ExactBytes(limits.memory_bytes));
  if (limits.disk_bytes) keys.AddAlways("disk", ExactBytes(*limits.disk_bytes));
  keys.Add("processes", limits.processes, none.processes, limits.processes);
  keys.Add("network", limits.network_bits_per_s, none.network_bits_per_s,
           BitRateText(limits.network_bits_per_s));
  keys.Add("io", limits.io_bytes_per_s, none.io_bytes_per_s, ExactBytes(limits.io_bytes_per_s));
  return keys.Take();
}

// The command alone, when everything else is as by default.
Json CommandOrMap(const std::vector<std::string>& argv, Json others) {
  if (others.empty()) return CommandJson(argv);
  Json map = {{"run", CommandJson(argv)}};
  map.update(others);
  return map;
}

Json HookJson(const Hook& hook) {
  Keys keys(Defaults::kLeaveOut);
  keys.Add("timeout", hook.timeout, Hook().timeout, DurationText(hook.timeout));
  return CommandOrMap(hook.argv, keys.Take());
}

Json HooksJson(const Hooks& hooks) {
  Keys keys(Defaults::kLeaveOut);
  if (hooks.on_create) keys.AddAlways("on-create", HookJson(*hooks.on_create));
  if (hooks.on_destroy) keys.AddAlways("on-destroy", HookJson(*hooks.on_destroy));
  if (hooks.on_recovery) keys.AddAlways("on-recovery", HookJson(*hooks.on_recovery));
  return keys.Take();
}

Json ReadyJson(const ReadyCheck& ready) {
  const ReadyCheck plain;
  Keys keys(Defaults::kLeaveOut);
  keys.Add("tcp", ready.tcp_port, plain.tcp_port, ready.tcp_port);
  keys.Add("every", ready.every, plain.every, DurationText(ready.every));
  keys.Add("timeout", ready.timeout, plain.timeout, DurationText(ready.timeout));
  Json others = keys.Take();
  return ready.tcp_port != 0 ? others : CommandOrMap(ready.argv, std::move(others));
}

Json PortJson(const PortForward& port) {
  const PortForward plain;
  if (port == PortForward{.node_port = port.node_port}) return port.node_port;
  Keys keys(Defaults::kLeaveOut);
  keys.AddAlways("node", port.node_port);
  keys.Add("host", port.host_port, plain.host_port, port.host_port);
  keys.AddChoice("protocol", kProtocols, port.protocol, plain.protocol);
  keys.AddChoice("balance", kBalances, port.balance, plain.balance);
  return keys.Take();
}

// One alone, or a list.
Json OneOrList(Json list) { return list.size() == 1 ? list[0] : list; }

Json RangesJson(const std::vector<PortRange>& ranges) {
  Json list = Json::array();
  for (const PortRange& range : ranges) {
    if (range.first == range.last) {
      list.push_back(range.first);
    } else {
      list.push_back(std::to_string(range.first) + "-" + std::to_string(range.last));
    }
  }
  return list.empty() ? list : OneOrList(std::move(list));
}

Json AcceptJson(const Accept& accept) {
  Keys keys(Defaults::kLeaveOut);
  keys.AddAlways("from", OneOrList(accept.from));
  if (!accept.tcp.empty()) keys.AddAlways("tcp", RangesJson(accept.tcp));
  if (!accept.udp.empty()) keys.AddAlways("udp", RangesJson(accept.udp));
  keys.Add("icmp", accept.icmp, false, accept.icmp);
  Json map = keys.Take();
  return map.size() == 1 && accept.from.size() == 1 ? map["from"] : map;
}

Json PlacementJson(const Placement& placement, Defaults defaults) {
  const Placement plain;
  Keys keys(defaults);
  keys.AddChoice("rank", kRanks, placement.rank, plain.rank);
  keys.AddSome("near", placement.near);
  keys.AddSome("apart", placement.apart);
  keys.Add("strict", placement.strict, plain.strict, placement.strict);
  keys.AddSome("require", placement.require);
  keys.Add("priority", placement.priority, plain.priority, placement.priority);
  return keys.Take();
}

Json AutoscaleJson(const Autoscale& scale) {
  const Autoscale plain;
  Keys keys(Defaults::kLeaveOut);
  keys.AddAlways("min", scale.min);
  keys.AddAlways("max", scale.max);
  keys.Add("cpu", scale.cpu_percent, plain.cpu_percent, NumberJson(scale.cpu_percent));
  if (!scale.argv.empty()) keys.AddAlways("run", CommandJson(scale.argv));
  keys.Add("target", scale.target_per_node, plain.target_per_node,
           NumberJson(scale.target_per_node));
  keys.Add("every", scale.every, plain.every, DurationText(scale.every));
  keys.Add("shrink-after", scale.shrink_after, plain.shrink_after,
           DurationText(scale.shrink_after));
  return keys.Take();
}

Json ScaleFromNodesJson(const ScaleFromNodes& scale) {
  const ScaleFromNodes plain;
  if (scale == plain) return true;
  Keys keys(Defaults::kLeaveOut);
  keys.Add("min", scale.min, plain.min, scale.min);
  keys.Add("max", scale.max, plain.max, scale.max);
  return keys.Take();
}

}  // namespace

Json RoleToJson(const Role& role, Defaults defaults) {
  const Role plain;
  Keys keys(defaults);
  keys.Add("count", role.count, role.autoscale ? role.autoscale->min : plain.count, role.count);
  keys.AddAlways("image", role.image);
  keys.AddSome("images", role.images);
  keys.AddSome("limits", LimitsJson(role.limits, defaults));
  keys.AddSome("env", Json(role.env));
  if (!role.command.empty()) keys.AddAlways("command", CommandJson(role.command));
  keys.AddSome("hooks", HooksJson(role.hooks));
  if (role.ready) keys.AddAlways("ready", ReadyJson(*role.ready));
  keys.AddSome("after", role.after);
  Json ports = Json::array();
  for (const PortForward& port : role.ports) ports.push_back(PortJson(port));
  keys.AddSome("ports", std::move(ports));
  if (role.accept) {
    Json accept = Json::array();
    for (const Accept& one : *role.accept) accept.push_back(AcceptJson(one));
    keys.AddAlways("accept", std::move(accept));
  }
  Json volumes = Json::array();
  for (const VolumeMount& mount : role.volumes) {
    volumes.push_back(mount.volume + ":" + mount.path + (mount.read_only ? ":ro" : ""));
  }
  keys.AddSome("volumes", std::move(volumes));
  keys.AddSome("placement", PlacementJson(role.placement, defaults));
  keys.AddChoice("restart", kRestartPolicies, role.restart, plain.restart);
  keys.AddChoice("on-host-loss", kHostLosses, role.host_loss, plain.host_loss);
  keys.AddChoice("migration", kMigrationPolicies, role.migration, plain.migration);
  keys.AddChoice("scale-in", kScaleIns, role.scale_in, plain.scale_in);
  if (role.autoscale) keys.AddAlways("autoscale", AutoscaleJson(*role.autoscale));
  if (role.scale_from_nodes) {
    keys.AddAlways("scale-from-nodes", ScaleFromNodesJson(*role.scale_from_nodes));
  }
  return keys.Take();
}

Json TopToJson(const Definition& definition, Defaults defaults) {
  const Definition plain;
  Keys keys(defaults);
  keys.AddAlways("name", definition.name);
  keys.Add("description", definition.description, plain.description, definition.description);
  keys.AddSome("peers", definition.peers);
  keys.Add("nodes-max", definition.nodes_max, plain.nodes_max, definition.nodes_max);
  if (definition.expires) keys.AddAlways("expires", InstantText(*definition.expires));
  if (definition.lifetime) keys.AddAlways("lifetime", DurationText(*definition.lifetime));
  keys.AddChoice("on-expiry", kExpiryActions, definition.on_expiry, plain.on_expiry);
  if (definition.idle_stop) keys.AddAlways("idle-stop", DurationText(*definition.idle_stop));
  return keys.Take();
}

Json DefinitionToJson(const Definition& definition) {
  Json json = TopToJson(definition, Defaults::kLeaveOut);
  for (const Volume& volume : definition.volumes) json["volumes"].push_back(volume.name);
  for (const Role& role : definition.roles) {
    json["roles"][role.name] = RoleToJson(role, Defaults::kLeaveOut);
  }
  return json;
}

}  // namespace strata::vcluster::file
