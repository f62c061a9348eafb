#include "vclusterd/master/upgrade.h"

#include <dirent.h>
#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "common/file_io.h"
#include "common/log.h"
#include "vclusterd/definition/format_file.h"
#include "vclusterd/host/part_store.h"
#include "vclusterd/master/clusters.h"
#include "vclusterd/master/orders.h"
#include "vclusterd/master/single_host.h"
#include "vclusterd/master/tables.h"
#include "vclusterd/master/user_names.h"
#include "vclusterd/runtime/ssh_keys.h"

namespace strata::vcluster {
namespace {

using Json = nlohmann::json;

constexpr int kOldVersion = 1;

struct Upgraded {
  master::v1::Vcluster record;
  host::v1::HostPart part;
};

host::v1::LocalNode LocalFrom(const Json& json, uint32_t index) {
  host::v1::LocalNode local;
  local.set_index(index);
  local.set_incarnation(index + 1);
  local.set_made(true);
  local.set_created(true);
  local.set_image(json.at("image").get<std::string>());
  local.set_image_digest(json.at("image_digest").get<std::string>());
  local.set_tree_path(json.at("tree_path").get<std::string>());
  local.set_objects_dir(json.at("objects_dir").get<std::string>());
  for (const auto& word : json.at("command")) local.add_command(word.get<std::string>());
  for (const auto& variable : json.at("env")) local.add_env(variable.get<std::string>());
  local.set_driver(json.at("driver").get<std::string>());
  local.set_volume(json.value("volume", "none"));
  local.set_disk_bytes(json.value("disk_bytes", uint64_t{0}));
  return local;
}

Result<Upgraded> UpgradeFile(const Json& json) {
  if (json.at("version").get<int>() != kOldVersion) {
    return Error(Code::kCorrupt, "unknown version");
  }
  const Json& nodes = json.at("nodes");
  if (nodes.empty()) return Error(Code::kCorrupt, "no nodes");
  Limits limits;
  json.at("cpus").get_to(limits.cpus);
  json.at("memory_bytes").get_to(limits.memory_bytes);
  json.at("processes").get_to(limits.processes);
  const Definition definition =
      PlainDefinition(json.at("name").get<std::string>(), nodes[0].at("image").get<std::string>(),
                      static_cast<uint32_t>(nodes.size()), limits);
  RETURN_IF_ERROR(CheckDefinition(definition));
  Upgraded upgraded;
  ASSIGN_OR_RETURN(upgraded.record, NewVcluster(definition, json.at("owner_uid").get<uint32_t>(),
                                                json.at("created_unix_ms").get<int64_t>()));
  master::v1::Vcluster& record = upgraded.record;
  record.set_number(json.at("number").get<uint32_t>());
  record.set_phase(json.at("phase") == "ready" ? master::v1::LIVE : master::v1::DELETING);
  record.set_subnet(json.at("subnet").get<std::string>());
  record.set_cloned_from(json.at("cloned_from").get<std::string>());
  ASSIGN_OR_RETURN(*record.mutable_ssh_login_seed(),
                   FromHex(json.at("ssh_login_seed").get<std::string>()));
  ASSIGN_OR_RETURN(*record.mutable_ssh_host_seed(),
                   FromHex(json.at("ssh_host_seed").get<std::string>()));
  for (uint32_t i = 0; i < nodes.size(); ++i) {
    master::v1::Node& node = *record.mutable_nodes(static_cast<int>(i));
    node.set_host(kSingleHostName);
    node.set_wanted(nodes[i].at("wanted").get<bool>());
    node.set_machine_id(nodes[i].at("machine_id").get<std::string>());
    node.set_driver(nodes[i].at("driver").get<std::string>());
    node.set_disk_bytes(nodes[i].value("disk_bytes", uint64_t{0}));
    *upgraded.part.add_nodes() = LocalFrom(nodes[i], i);
  }
  ASSIGN_OR_RETURN(const VclusterPtr vcluster, ReadVcluster(record));
  // The order that a master of today would give, older than all that it will give.
  master::v1::Vcluster alive = record;
  alive.set_phase(master::v1::LIVE);
  ASSIGN_OR_RETURN(const VclusterPtr as_alive, ReadVcluster(alive));
  OrderContext context;
  context.may_start = RolesThatMayStart(*as_alive, {});
  context.owner_name =
      HostUserName(record.owner_uid()).value_or(std::to_string(record.owner_uid()));
  *upgraded.part.mutable_order() = OrderFor(*as_alive, kSingleHostName, context);
  upgraded.part.mutable_order()->set_revision(1);
  return upgraded;
}

Result<Upgraded> ReadOld(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  // The library throws on a missing key or a wrong type: both mean the file is not ours.
  try {
    return UpgradeFile(Json::parse(text));
  } catch (const Json::exception& error) {
    return Error(Code::kCorrupt, error.what());
  }
}

std::vector<std::string> FilesIn(const std::string& directory) {
  struct Close {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  std::vector<std::string> files;
  const std::unique_ptr<DIR, Close> dir(::opendir(directory.c_str()));
  while (const dirent* entry = dir == nullptr ? nullptr : ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name.ends_with(".json")) files.push_back(directory + "/" + name);
  }
  return files;
}

}  // namespace

Status UpgradeState(const std::string& state_dir, records::RecordStore& store) {
  const std::string old_dir = state_dir + "/vclusterd/clusters";
  const std::string new_dir = state_dir + "/vclusterd/parts";
  const std::vector<std::string> files = FilesIn(old_dir);
  if (files.empty()) return Ok();
  RETURN_IF_ERROR(MakeDirectories(new_dir, 0700));
  const PartStore parts(new_dir);
  ASSIGN_OR_RETURN(const auto counters, store.Get(kLeaderTable, kCountersKey));
  master::v1::Counters last;
  if (counters.has_value() && !last.ParseFromString(*counters)) {
    return Error(Code::kCorrupt, "the record of the last number cannot be read");
  }
  for (const std::string& path : files) {
    ASSIGN_OR_RETURN(const Upgraded upgraded, ReadOld(path), path);
    RETURN_IF_ERROR(parts.Write(upgraded.part));
    last.set_last_number(std::max(last.last_number(), upgraded.record.number()));
    RETURN_IF_ERROR(store.Commit({}, {{kVclustersTable, VclusterKey(upgraded.record.number()),
                                       FormatVcluster(upgraded.record)},
                                      {kLeaderTable, kCountersKey, last.SerializeAsString()}}));
    if (::unlink(path.c_str()) != 0) return Errno("unlink " + path);
    RETURN_IF_ERROR(FsyncDirectory(old_dir));
    LOG_INFO("Vcluster " + upgraded.record.name() + " was taken over from an earlier vclusterd");
  }
  return Ok();
}

}  // namespace strata::vcluster
