#include "vclusterd/definition/read_role.h"

#include <charconv>
#include <iterator>

#include "common/printable.h"

namespace strata::vcluster::file {

void ReadCommand(FieldReader& in, const Field& field, std::vector<std::string>* argv) {
  if (field.value->kind == Value::Kind::kList) {
    in.Texts(field, argv, true);
    if (field.value->items.empty()) in.Fault(field, "is an empty list: no command");
    return;
  }
  if (field.value->kind != Value::Kind::kScalar) {
    return in.Fault(field, "should be a command: a line for the shell, or a list of words");
  }
  std::string script;
  in.Text(field, &script, true);
  if (script.find_first_not_of(" \t\n") == std::string::npos) {
    return in.Fault(field, "is empty: no command");
  }
  *argv = {"/bin/sh", "-c", std::move(script)};
}

void ReadEnv(FieldReader& in, const Field& field, std::map<std::string, std::string>* env) {
  in.Entries(field, [&](const std::string& name, const Field& value) {
    in.Text(value, &(*env)[name], true);
  });
}

namespace {

void ReadLimits(FieldReader& in, const Field& field, Limits* limits) {
  in.Map(field, {{"cpus", [&](const Field& f) { in.Number(f, &limits->cpus); }},
                 {"memory", [&](const Field& f) { in.Bytes(f, &limits->memory_bytes); }},
                 {"disk",
                  [&](const Field& f) {
                    uint64_t bytes = 0;
                    in.Bytes(f, &bytes);
                    limits->disk_bytes = bytes;
                  }},
                 {"processes", [&](const Field& f) { in.Integer(f, &limits->processes); }},
                 {"network", [&](const Field& f) { in.BitRate(f, &limits->network_bits_per_s); }},
                 {"io", [&](const Field& f) { in.Bytes(f, &limits->io_bytes_per_s); }}});
}

void ReadHook(FieldReader& in, const Field& field, std::optional<Hook>* out) {
  Hook hook;
  if (field.value->kind == Value::Kind::kMap) {
    in.Map(field, {{"run", [&](const Field& f) { ReadCommand(in, f, &hook.argv); }},
                   {"timeout", [&](const Field& f) { in.Duration(f, &hook.timeout); }}});
    if (field.value->Find("run") == nullptr) in.Fault(field, "has no 'run': no command");
  } else {
    ReadCommand(in, field, &hook.argv);
  }
  *out = std::move(hook);
}

void ReadHooks(FieldReader& in, const Field& field, Hooks* hooks) {
  in.Map(field, {{"on-create", [&](const Field& f) { ReadHook(in, f, &hooks->on_create); }},
                 {"on-destroy", [&](const Field& f) { ReadHook(in, f, &hooks->on_destroy); }},
                 {"on-recovery", [&](const Field& f) { ReadHook(in, f, &hooks->on_recovery); }}});
}

void ReadReady(FieldReader& in, const Field& field, std::optional<ReadyCheck>* out) {
  ReadyCheck ready;
  if (field.value->kind == Value::Kind::kMap) {
    in.Map(field, {{"tcp", [&](const Field& f) { in.Integer(f, &ready.tcp_port); }},
                   {"run", [&](const Field& f) { ReadCommand(in, f, &ready.argv); }},
                   {"every", [&](const Field& f) { in.Duration(f, &ready.every); }},
                   {"timeout", [&](const Field& f) { in.Duration(f, &ready.timeout); }}});
  } else {
    ReadCommand(in, field, &ready.argv);
  }
  *out = std::move(ready);
}

void ReadBalance(FieldReader& in, const Field& field, Balance* balance) {
  const Value& value = *field.value;
  const bool word = value.kind != Value::Kind::kScalar || value.quoted ||
                    (value.text != "true" && value.text != "false");
  if (word) return in.Choice(field, kBalances, balance);
  *balance = value.text == "true" ? Balance::kRoundRobin : Balance::kNone;
}

void ReadPort(FieldReader& in, const Field& field, PortForward* port) {
  if (field.value->kind == Value::Kind::kScalar) return in.Integer(field, &port->node_port);
  in.Map(field, {{"node", [&](const Field& f) { in.Integer(f, &port->node_port); }},
                 {"host", [&](const Field& f) { in.Integer(f, &port->host_port); }},
                 {"protocol", [&](const Field& f) { in.Choice(f, kProtocols, &port->protocol); }},
                 {"balance", [&](const Field& f) { ReadBalance(in, f, &port->balance); }}});
}

// "80" or "8000-8010".
bool ParsePorts(std::string_view text, PortRange* out) {
  const auto number = [](std::string_view digits, uint16_t* port) {
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), *port);
    return read.ec == std::errc() && read.ptr == digits.data() + digits.size();
  };
  const size_t dash = text.find('-');
  if (!number(text.substr(0, dash), &out->first)) return false;
  out->last = out->first;
  return dash == std::string_view::npos || number(text.substr(dash + 1), &out->last);
}

void ReadPortRanges(FieldReader& in, const Field& field, std::vector<PortRange>* out) {
  const auto read = [&](const Field& item) {
    PortRange range;
    if (item.value->kind != Value::Kind::kScalar || !ParsePorts(item.value->text, &range)) {
      return in.Fault(item, "should be a port, or some (such as 80, 8000-8010 or [80, 443])");
    }
    out->push_back(range);
  };
  if (field.value->kind != Value::Kind::kList) return read(field);
  in.List(field, read);
  if (field.value->items.empty()) in.Fault(field, "is an empty list: no port");
}

void ReadAccept(FieldReader& in, const Field& field, Accept* accept) {
  if (field.value->kind == Value::Kind::kScalar) return in.Words(field, &accept->from);
  in.Map(field, {{"from", [&](const Field& f) { in.Words(f, &accept->from); }},
                 {"tcp", [&](const Field& f) { ReadPortRanges(in, f, &accept->tcp); }},
                 {"udp", [&](const Field& f) { ReadPortRanges(in, f, &accept->udp); }},
                 {"icmp", [&](const Field& f) { in.Bool(f, &accept->icmp); }}});
}

void ReadPlacement(FieldReader& in, const Field& field, Placement* placement) {
  if (field.value->kind == Value::Kind::kScalar) {
    return in.Choice(field, kRanks, &placement->rank);
  }
  in.Map(field, {{"rank", [&](const Field& f) { in.Choice(f, kRanks, &placement->rank); }},
                 {"near", [&](const Field& f) { in.Words(f, &placement->near); }},
                 {"apart", [&](const Field& f) { in.Words(f, &placement->apart); }},
                 {"strict", [&](const Field& f) { in.Bool(f, &placement->strict); }},
                 {"require", [&](const Field& f) { in.Words(f, &placement->require); }},
                 {"priority", [&](const Field& f) { in.Integer(f, &placement->priority); }}});
}

void ReadAutoscale(FieldReader& in, const Field& field, std::optional<Autoscale>* out) {
  Autoscale scale;
  in.Map(field, {{"min", [&](const Field& f) { in.Integer(f, &scale.min); }},
                 {"max", [&](const Field& f) { in.Integer(f, &scale.max); }},
                 {"cpu", [&](const Field& f) { in.Number(f, &scale.cpu_percent); }},
                 {"run", [&](const Field& f) { ReadCommand(in, f, &scale.argv); }},
                 {"target", [&](const Field& f) { in.Number(f, &scale.target_per_node); }},
                 {"every", [&](const Field& f) { in.Duration(f, &scale.every); }},
                 {"shrink-after", [&](const Field& f) { in.Duration(f, &scale.shrink_after); }}});
  *out = std::move(scale);
}

void ReadScaleFromNodes(FieldReader& in, const Field& field, std::optional<ScaleFromNodes>* out) {
  ScaleFromNodes scale;
  if (field.value->kind == Value::Kind::kMap) {
    in.Map(field, {{"min", [&](const Field& f) { in.Integer(f, &scale.min); }},
                   {"max", [&](const Field& f) { in.Integer(f, &scale.max); }}});
    *out = scale;
    return;
  }
  bool may = false;
  in.Bool(field, &may);
  out->reset();
  if (may) *out = scale;
}

bool MountOfText(FieldReader& in, const Field& field, const std::string& text, bool path_too,
                 VolumeMount* mount) {
  const size_t colon = text.find(':');
  mount->volume = text.substr(0, colon);
  if (colon == std::string::npos) {
    if (!path_too) return true;
    in.Fault(field, Quoted(text) + " has no path (such as " + Printable(text, 30) + ":/srv)");
    return false;
  }
  mount->path = text.substr(colon + 1);
  const size_t second = mount->path.find(':');
  if (second == std::string::npos) return true;
  const std::string option = mount->path.substr(second + 1);
  mount->path.resize(second);
  mount->read_only = option == "ro";
  if (option == "ro" || option == "rw") return true;
  in.Fault(field, Quoted(option) + " behind the path is not ro or rw");
  return false;
}

}  // namespace

bool ReadMount(FieldReader& in, const Field& field, std::string_view name_key, bool path_too,
               VolumeMount* mount) {
  if (field.value->kind == Value::Kind::kScalar) {
    std::string text;
    in.Text(field, &text);
    return MountOfText(in, field, text, path_too, mount);
  }
  in.Map(field, {{name_key, [&](const Field& f) { in.Text(f, &mount->volume); }},
                 {"path", [&](const Field& f) { in.Text(f, &mount->path); }},
                 {"read-only", [&](const Field& f) { in.Bool(f, &mount->read_only); }}});
  if (field.value->kind != Value::Kind::kMap) return false;
  for (const std::string_view key : {name_key, std::string_view("path")}) {
    if (field.value->Find(key) != nullptr || (key == "path" && !path_too)) continue;
    in.Fault(field, "has no '" + std::string(key) + "'");
    return false;
  }
  return true;
}

std::vector<Key> DefaultKeys(FieldReader& in, Role* role) {
  return {
      {"image", [&in, role](const Field& f) { in.Text(f, &role->image); }},
      {"limits", [&in, role](const Field& f) { ReadLimits(in, f, &role->limits); }},
      {"env", [&in, role](const Field& f) { ReadEnv(in, f, &role->env); }},
      {"hooks", [&in, role](const Field& f) { ReadHooks(in, f, &role->hooks); }},
      {"restart", [&in, role](const Field& f) { in.Choice(f, kRestartPolicies, &role->restart); }},
      {"on-host-loss",
       [&in, role](const Field& f) { in.Choice(f, kHostLosses, &role->host_loss); }},
      {"migration",
       [&in, role](const Field& f) { in.Choice(f, kMigrationPolicies, &role->migration); }},
      {"scale-from-nodes",
       [&in, role](const Field& f) { ReadScaleFromNodes(in, f, &role->scale_from_nodes); }},
  };
}

std::vector<Key> OwnKeys(FieldReader& in, Role* role) {
  return {
      {"images", [&in, role](const Field& f) { in.Texts(f, &role->images); }},
      {"command", [&in, role](const Field& f) { ReadCommand(in, f, &role->command); }},
      {"ready", [&in, role](const Field& f) { ReadReady(in, f, &role->ready); }},
      {"ports",
       [&in, role](const Field& f) {
         in.List(f, [&](const Field& item) { ReadPort(in, item, &role->ports.emplace_back()); });
       }},
      {"accept",
       [&in, role](const Field& f) {
         role->accept.emplace();
         in.List(f,
                 [&](const Field& item) { ReadAccept(in, item, &role->accept->emplace_back()); });
       }},
      {"placement", [&in, role](const Field& f) { ReadPlacement(in, f, &role->placement); }},
      {"scale-in", [&in, role](const Field& f) { in.Choice(f, kScaleIns, &role->scale_in); }},
      {"autoscale", [&in, role](const Field& f) { ReadAutoscale(in, f, &role->autoscale); }},
  };
}

void ReadRole(FieldReader& in, const Field& field, Role* role) {
  bool counted = false;
  std::vector<Key> keys = {
      {"count",
       [&](const Field& f) {
         counted = true;
         in.Integer(f, &role->count);
       }},
      {"after", [&](const Field& f) { in.Words(f, &role->after); }},
      {"volumes",
       [&](const Field& f) {
         role->volumes.clear();  // Those for all roles.
         in.List(f, [&](const Field& item) {
           ReadMount(in, item, "volume", true, &role->volumes.emplace_back());
         });
       }},
  };
  for (std::vector<Key>& more : std::vector{DefaultKeys(in, role), OwnKeys(in, role)}) {
    std::move(more.begin(), more.end(), std::back_inserter(keys));
  }
  if (field.value->kind != Value::Kind::kNull) in.Map(field, keys);  // "master:" alone is fine.
  if (!counted && role->autoscale) role->count = role->autoscale->min;
}

}  // namespace strata::vcluster::file
