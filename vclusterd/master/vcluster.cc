#include "vclusterd/master/vcluster.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <map>
#include <set>

#include "common/digest.h"
#include "common/log.h"
#include "net/subnets.h"
#include "vclusterd/definition/format_file.h"
#include "vclusterd/runtime/ssh_keys.h"
#include "vclusterd/volumes/shared_dir.h"

namespace strata::vcluster {
namespace {

constexpr uint32_t kVersion = 1;

}  // namespace

const master::v1::Node* Vcluster::FindNode(uint32_t index) const {
  for (const master::v1::Node& node : record.nodes()) {
    if (node.index() == index) return &node;
  }
  return nullptr;
}

std::string Vcluster::NodeName(const master::v1::Node& node) const {
  const std::string ordinal = std::to_string(node.ordinal());
  return node.role() == kDefaultRole ? ordinal : node.role() + "-" + ordinal;
}

std::string Vcluster::Hostname(const master::v1::Node& node) const {
  const std::string ordinal = std::to_string(node.ordinal());
  return (node.role() == kDefaultRole ? record.name() : node.role()) + "-" + ordinal;
}

net::Ipv4 Vcluster::AddressOf(const master::v1::Node& node) const {
  return prefix.Host(net::kFirstNodeHost + node.index());
}

std::string ClassKey(uint32_t uid, const std::string& name) {
  return VclusterKey(uid) + "/" + name;  // Ten digits, too.
}

std::string VclusterKey(uint32_t number) {
  char text[16];
  std::snprintf(text, sizeof(text), "%010u", number);
  return text;
}

uint32_t NumberOf(const std::string& key) {
  uint32_t number = 0;
  const auto read = std::from_chars(key.data(), key.data() + key.size(), number);
  CHECK(read.ec == std::errc());
  return number;
}

std::string FormatVcluster(const master::v1::Vcluster& record) {
  master::v1::Vcluster versioned = record;
  versioned.set_version(kVersion);
  return versioned.SerializeAsString();
}

Result<VclusterPtr> ReadVcluster(master::v1::Vcluster record) {
  auto vcluster = std::make_shared<Vcluster>();
  ASSIGN_OR_RETURN(vcluster->definition, ParseDefinitionJson(record.definition()));
  vcluster->definition.name = record.name();
  ASSIGN_OR_RETURN(vcluster->prefix, net::Ipv4Prefix::Parse(record.subnet()));
  std::set<uint32_t> seen;
  for (const master::v1::Node& node : record.nodes()) {
    if (node.index() >= net::NodesMaxOf(vcluster->prefix) || !seen.insert(node.index()).second ||
        (!node.leaving() && vcluster->definition.FindRole(node.role()) == nullptr)) {
      return Error(Code::kCorrupt, "node " + std::to_string(node.index()) + " makes no sense");
    }
  }
  vcluster->record = std::move(record);
  return VclusterPtr(std::move(vcluster));
}

Result<VclusterPtr> ParseVcluster(std::string_view bytes) {
  master::v1::Vcluster record;
  if (!record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      record.version() != kVersion || record.number() == 0) {
    return Error(Code::kCorrupt, "no record of a Vcluster");
  }
  auto vcluster = ReadVcluster(std::move(record));
  if (!vcluster.ok()) return Error(Code::kCorrupt, vcluster.error().message());
  return vcluster;
}

Status GiveKeys(master::v1::Vcluster* record) {
  ASSIGN_OR_RETURN(*record->mutable_ssh_login_seed(), RandomBytes(kSshSeedSize));
  ASSIGN_OR_RETURN(*record->mutable_ssh_host_seed(), RandomBytes(kSshSeedSize));
  return Ok();
}

Status GiveIdentity(master::v1::Vcluster* record, int64_t now_unix_ms) {
  RETURN_IF_ERROR(GiveKeys(record));
  for (master::v1::Node& node : *record->mutable_nodes()) {
    ASSIGN_OR_RETURN(const std::string bytes, RandomBytes(16));
    node.set_machine_id(ToHex(bytes));
  }
  record->set_created_unix_ms(now_unix_ms);
  return Ok();
}

int PrefixLengthOf(const Definition& definition) {
  return net::PrefixLengthFor(definition.nodes_max);
}

Status AddNodes(master::v1::Vcluster* record, const std::string& role, uint32_t count,
                uint32_t nodes_max) {
  std::set<uint32_t> indices;
  std::set<uint32_t> ordinals;
  for (const master::v1::Node& node : record->nodes()) {
    indices.insert(node.index());
    if (node.role() == role) ordinals.insert(node.ordinal());
  }
  const auto lowest_free = [](std::set<uint32_t>* taken) {
    uint32_t free = 0;
    while (taken->contains(free)) ++free;
    taken->insert(free);
    return free;
  };
  while (ordinals.size() < count) {
    if (indices.size() >= nodes_max) {
      return Error(Code::kResourceExhausted,
                   "its subnet has addresses for " + std::to_string(nodes_max) + " nodes");
    }
    master::v1::Node* node = record->add_nodes();
    node->set_role(role);
    node->set_index(lowest_free(&indices));
    node->set_ordinal(lowest_free(&ordinals));
    record->set_incarnations(record->incarnations() + 1);
    node->set_incarnation(record->incarnations());
    node->set_wanted(true);
    ASSIGN_OR_RETURN(const std::string bytes, RandomBytes(16));
    node->set_machine_id(ToHex(bytes));
  }
  return Ok();
}

void NameVolumes(const Definition& definition, master::v1::Vcluster* record) {
  std::set<std::string> there;
  for (master::v1::Volume& volume : *record->mutable_volumes()) {
    if (volume.left()) continue;
    const bool named =
        std::any_of(definition.volumes.begin(), definition.volumes.end(),
                    [&](const Volume& wanted) { return wanted.name == volume.name(); });
    volume.set_left(!named);
    if (named) there.insert(volume.name());
  }
  for (const Volume& wanted : definition.volumes) {
    if (there.contains(wanted.name)) continue;
    master::v1::Volume* volume = record->add_volumes();
    volume->set_name(wanted.name);
    record->set_volume_ids(record->volume_ids() + 1);
    volume->set_id(record->volume_ids());
  }
}

void NumberRoles(const Definition& definition, master::v1::Vcluster* record) {
  std::set<std::string> roles;
  for (const Role& role : definition.roles) roles.insert(role.name);
  for (const master::v1::Node& node : record->nodes()) roles.insert(node.role());
  std::map<std::string, uint32_t> known;
  std::set<uint32_t> taken;
  for (const master::v1::RoleGroup& group : record->role_groups()) {
    if (!roles.contains(group.role())) continue;
    known[group.role()] = group.group();
    taken.insert(group.group());
  }
  record->clear_role_groups();
  uint32_t next = 1;
  for (const std::string& role : roles) {
    uint32_t& number = known[role];
    while (number == 0 && !taken.insert(next).second) ++next;
    if (number == 0) number = next;
    master::v1::RoleGroup* group = record->add_role_groups();
    group->set_role(role);
    group->set_group(number);
  }
}

std::string DirectoryOf(const master::v1::Vcluster& record, const master::v1::Volume& volume) {
  return VolumeDirectory(VolumesDirectory(record.number(), record.created_unix_ms()), volume.name(),
                         volume.id());
}

std::string DirectoryOf(const master::v1::Vcluster& record, const std::string& volume) {
  for (const master::v1::Volume& named : record.volumes()) {
    if (!named.left() && named.name() == volume) return DirectoryOf(record, named);
  }
  return "";
}

bool MountsVolumes(const Definition& definition) {
  return std::any_of(definition.roles.begin(), definition.roles.end(),
                     [](const Role& role) { return !role.volumes.empty(); });
}

Status CheckLive(const master::v1::Vcluster& record) {
  if (record.phase() == master::v1::LIVE) return Ok();
  return Error(
      Code::kFailedPrecondition,
      "Vcluster " + record.name() +
          (record.phase() == master::v1::CREATING ? " is being made" : " is being deleted"));
}

Status CheckClassQuota(const master::v1::ClassQuota& quota, const Definition& definition) {
  const auto more = [](const std::string& what, const std::string& limit) {
    return Error(Code::kResourceExhausted,
                 what + " are more than the class allows, which is " + limit);
  };
  // 0 is no limit: of the quota, and of a role.
  const auto within = [](auto asked, auto limit) {
    return limit == 0 || (asked != 0 && asked <= limit);
  };
  uint32_t nodes = 0;
  for (const Role& role : definition.roles) {
    nodes += std::max(role.count, role.autoscale ? role.autoscale->max : 0);
    const std::string of = " of role " + role.name;
    if (!within(role.limits.cpus, quota.cpus())) {
      return more("the CPUs" + of, std::to_string(quota.cpus()));
    }
    if (!within(role.limits.memory_bytes, quota.memory_bytes())) {
      return more("the bytes of memory" + of, std::to_string(quota.memory_bytes()));
    }
    if (!within(role.limits.disk_bytes.value_or(0), quota.disk_bytes())) {
      return more("the bytes of disk" + of, std::to_string(quota.disk_bytes()));
    }
  }
  if (quota.nodes() != 0 && nodes > quota.nodes()) {
    return more(std::to_string(nodes) + " nodes", std::to_string(quota.nodes()));
  }
  return Ok();
}

Result<master::v1::Vcluster> NewVcluster(const Definition& definition, uint32_t owner_uid,
                                         int64_t now_unix_ms) {
  master::v1::Vcluster record;
  record.set_name(definition.name);
  record.set_owner_uid(owner_uid);
  record.set_phase(master::v1::CREATING);
  record.set_definition(FormatDefinitionJson(definition));
  for (const Role& role : definition.roles) {
    RETURN_IF_ERROR(AddNodes(&record, role.name, role.count, definition.nodes_max));
  }
  NameVolumes(definition, &record);
  NumberRoles(definition, &record);
  RETURN_IF_ERROR(GiveIdentity(&record, now_unix_ms));
  if (definition.expires.has_value()) {
    record.set_expires_unix_s(definition.expires->time_since_epoch().count());
  } else if (definition.lifetime.has_value()) {
    record.set_expires_unix_s(now_unix_ms / 1000 + definition.lifetime->count());
  }
  return record;
}

}  // namespace strata::vcluster
