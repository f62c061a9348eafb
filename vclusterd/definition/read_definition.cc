#include "vclusterd/definition/read_definition.h"

#include "vclusterd/definition/dcspark.h"
#include "vclusterd/definition/faults.h"
#include "vclusterd/definition/field_reader.h"
#include "vclusterd/definition/read_role.h"

namespace strata::vcluster::file {
namespace {

constexpr std::string_view kHome = "home";

// The keys, as those of every role: `model` is where CheckDefinition looks for them.
std::vector<Key> ForAllRoles(FieldReader& in, std::vector<Key> keys) {
  for (Key& key : keys) {
    key.read = [&in, read = std::move(key.read)](const Field& field) {
      Field of_roles = field;
      of_roles.model = "roles.*." + field.model;
      in.Place(of_roles.model, of_roles);
      read(of_roles);
    };
  }
  return keys;
}

void ReadVersion(FieldReader& in, const Field& field) {
  int version = kDefinitionVersion;
  in.Integer(field, &version);
  if (version != kDefinitionVersion) {
    in.Fault(field, "version " + std::to_string(version) + " is not known: this Strata reads " +
                        std::to_string(kDefinitionVersion));
  }
}

// One that names a path too is mounted in all roles that have no `volumes` of their own.
void ReadVolume(FieldReader& in, const Field& field, Definition* definition, Role* defaults) {
  VolumeMount mount;
  if (!ReadMount(in, field, "name", false, &mount)) return;
  if (!mount.path.empty()) {
    in.Place("roles.*.volumes[" + std::to_string(defaults->volumes.size()) + "]", field);
    defaults->volumes.push_back(mount);
  } else if (mount.volume == kHome) {
    in.Fault(field, "'home' is each owner's own: say where it is mounted (home:/home/me)");
  }
  if (mount.volume != kHome) definition->volumes.push_back({mount.volume});
}

std::vector<Key> TopKeys(FieldReader& in, Definition* definition, Role* defaults) {
  return {
      {"version", [&in](const Field& f) { ReadVersion(in, f); }},
      {"name", [&in, definition](const Field& f) { in.Text(f, &definition->name); }},
      {"description",
       [&in, definition](const Field& f) { in.Text(f, &definition->description, true); }},
      {"volumes",
       [&in, definition, defaults](const Field& f) {
         in.List(f, [&](const Field& item) { ReadVolume(in, item, definition, defaults); });
       }},
      {"peers", [&in, definition](const Field& f) { in.Words(f, &definition->peers); }},
      {"nodes-max", [&in, definition](const Field& f) { in.Integer(f, &definition->nodes_max); }},
      {"expires", [&in, definition](const Field& f) { in.Instant(f, &definition->expires); }},
      {"lifetime",
       [&in, definition](const Field& f) { in.Duration(f, &definition->lifetime.emplace()); }},
      {"on-expiry",
       [&in, definition](const Field& f) { in.Choice(f, kExpiryActions, &definition->on_expiry); }},
      {"idle-stop",
       [&in, definition](const Field& f) { in.Duration(f, &definition->idle_stop.emplace()); }},
  };
}

void Append(std::vector<Key>* keys, std::vector<Key> more) {
  for (Key& key : more) keys->push_back(std::move(key));
}

// Without `roles`: the file is one role.
void ReadOneRole(FieldReader& in, Definition* definition) {
  Role role;
  role.name = kDefaultRole;
  bool counted = false;
  std::vector<Key> keys = TopKeys(in, definition, &role);
  Append(&keys, ForAllRoles(in, DefaultKeys(in, &role)));
  Append(&keys, ForAllRoles(in, OwnKeys(in, &role)));
  const auto read_nodes = [&](const Field& field) {
    in.Place("roles.*.count", field);
    counted = true;
    in.Integer(field, &role.count);
  };
  keys.push_back({"nodes", read_nodes});
  keys.push_back({"roles", [](const Field&) {}});  // For messages: it is known.
  in.Place("roles." + role.name, in.root());
  in.Map(in.root(), keys);
  if (!counted && role.autoscale) role.count = role.autoscale->min;
  definition->roles.push_back(std::move(role));
}

void ReadRoles(FieldReader& in, const Field& field, const Role& defaults, Definition* definition) {
  in.Entries(field, [&](const std::string& name, const Field& child) {
    if (definition->roles.size() == kRolesMax) {
      return in.Fault(child, "is one role too many: " + std::to_string(kRolesMax) + " are allowed");
    }
    Role role = defaults;
    role.name = name;
    ReadRole(in, child, &role);
    definition->roles.push_back(std::move(role));
  });
}

void ReadWithRoles(FieldReader& in, Definition* definition) {
  Role defaults;
  std::optional<Field> roles;
  std::vector<Key> keys = TopKeys(in, definition, &defaults);
  Append(&keys, ForAllRoles(in, DefaultKeys(in, &defaults)));
  keys.push_back({"roles", [&](const Field& field) { roles = field; }});
  Role unused;
  std::vector<Key> only_of_roles = OwnKeys(in, &unused);
  only_of_roles.push_back({"nodes", {}});
  only_of_roles.push_back({"after", {}});
  for (Key& key : only_of_roles) {
    key.read = [&in](const Field& field) {
      in.Fault(field, field.path == "nodes"
                          ? "each of the roles has a 'count' of its own"
                          : "belongs to a role: write it below the one that is meant");
    };
  }
  Append(&keys, std::move(only_of_roles));
  in.Map(in.root(), keys);
  // Last, because defaults may stand below them.
  if (roles) ReadRoles(in, *roles, defaults, definition);
}

}  // namespace

Result<Definition> ReadDefinition(const Value& root, const std::string& file_name,
                                  const std::string& prefix) {
  FieldReader in(root, file_name, prefix);
  Definition definition;
  if (root.kind != Value::Kind::kMap) {
    in.Fault(in.root(),
             "begins with no key: a Vcluster file has lines such as 'name: lab' and "
             "'image: debian'");
  } else if (root.Find("roles") != nullptr) {
    ReadWithRoles(in, &definition);
  } else if (IsDcspark(root)) {
    definition = ReadDcspark(in);
  } else {
    ReadOneRole(in, &definition);
  }
  for (const Fault& fault : FindFaults(definition)) in.FaultOfModel(fault.path, fault.reason);
  if (!in.ok()) return in.ToError();
  return definition;
}

}  // namespace strata::vcluster::file
