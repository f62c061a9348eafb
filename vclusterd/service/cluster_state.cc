#include "vclusterd/service/cluster_state.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "common/file_io.h"
#include "common/log.h"
#include "net/plan.h"
#include "vclusterd/runtime/ssh_keys.h"

namespace strata::vcluster {
namespace {

using Json = nlohmann::json;

constexpr int kVersion = 1;
constexpr char kSuffix[] = ".json";

std::string_view PhaseName(Phase phase) {
  switch (phase) {
    case Phase::kCreating:
      return "creating";
    case Phase::kReady:
      return "ready";
    case Phase::kDeleting:
      return "deleting";
  }
  return "";
}

Result<Phase> ParsePhase(const std::string& name) {
  for (const Phase phase : {Phase::kCreating, Phase::kReady, Phase::kDeleting}) {
    if (name == PhaseName(phase)) return phase;
  }
  return Error(Code::kCorrupt, "unknown phase '" + name + "'");
}

Result<NodeState> NodeFromJson(const Json& json) {
  NodeState node;
  json.at("image").get_to(node.image);
  json.at("image_digest").get_to(node.image_digest);
  json.at("tree_path").get_to(node.tree_path);
  json.at("objects_dir").get_to(node.objects_dir);
  json.at("command").get_to(node.command);
  json.at("env").get_to(node.env);
  json.at("machine_id").get_to(node.machine_id);
  json.at("wanted").get_to(node.wanted);
  ASSIGN_OR_RETURN(node.driver, layerfs::ParseDriver(json.at("driver").get<std::string>()));
  // Absent in what was written before there were volumes.
  ASSIGN_OR_RETURN(node.volume, layerfs::ParseVolumeKind(json.value("volume", "none")));
  node.disk_bytes = json.value("disk_bytes", uint64_t{0});
  if ((node.volume == layerfs::VolumeKind::kNone) != (node.disk_bytes == 0)) {
    return Error(Code::kCorrupt, "volume and limit of disk do not agree");
  }
  if (node.machine_id.size() != 32 || !FromHex(node.machine_id).ok()) {
    return Error(Code::kCorrupt, "bad machine_id");
  }
  return node;
}

Result<ClusterState> ClusterFromJson(const Json& json) {
  if (json.at("version").get<int>() != kVersion) return Error(Code::kCorrupt, "unknown version");
  ClusterState state;
  json.at("number").get_to(state.number);
  json.at("name").get_to(state.name);
  json.at("owner_uid").get_to(state.owner_uid);
  ASSIGN_OR_RETURN(state.phase, ParsePhase(json.at("phase").get<std::string>()));
  ASSIGN_OR_RETURN(state.prefix, net::Ipv4Prefix::Parse(json.at("subnet").get<std::string>()));
  json.at("id_first").get_to(state.id_first);
  json.at("created_unix_ms").get_to(state.created_unix_ms);
  json.at("cloned_from").get_to(state.cloned_from);
  json.at("cpus").get_to(state.limits.cpus);
  json.at("memory_bytes").get_to(state.limits.memory_bytes);
  json.at("processes").get_to(state.limits.processes);
  ASSIGN_OR_RETURN(state.ssh.login_seed, FromHex(json.at("ssh_login_seed").get<std::string>()));
  ASSIGN_OR_RETURN(state.ssh.host_seed, FromHex(json.at("ssh_host_seed").get<std::string>()));
  for (const Json& entry : json.at("nodes")) {
    ASSIGN_OR_RETURN(NodeState node, NodeFromJson(entry));
    state.nodes.push_back(std::move(node));
  }
  RETURN_IF_ERROR(CheckClusterName(state.name));
  RETURN_IF_ERROR(CheckLimits(state.limits));
  if (state.number >= kClustersMax || state.prefix.length != net::kClusterPrefixLength ||
      state.nodes.empty() || state.nodes.size() > net::kNodesMaxPerCluster ||
      state.ssh.login_seed.size() != kSshSeedSize || state.ssh.host_seed.size() != kSshSeedSize ||
      state.id_first == 0) {
    return Error(Code::kCorrupt, "a value is out of its range");
  }
  return state;
}

}  // namespace

Status CheckClusterName(std::string_view name) {
  const auto is_valid = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  if (name.empty() || name.size() > kNameSizeMax || name[0] < 'a' || name[0] > 'z' ||
      name.back() == '-' || !std::all_of(name.begin(), name.end(), is_valid)) {
    return Error(
        Code::kInvalidArgument,
        "'" + std::string(name.substr(0, 100)) +
            "' cannot be a Vcluster's name: a lower-case letter, then at most 39 lower-case "
            "letters, digits and '-'");
  }
  return Ok();
}

Status CheckLimits(const NodeLimits& limits) {
  if (!std::isfinite(limits.cpus) || limits.cpus < 0 || limits.cpus > 4096) {
    return Error(Code::kInvalidArgument, "the limit of CPUs must be between 0 and 4096");
  }
  if (limits.memory_bytes != 0 && (limits.memory_bytes < 4u << 20 || limits.memory_bytes >> 50)) {
    return Error(Code::kInvalidArgument, "the limit of memory must be at least 4 MiB");
  }
  if (limits.processes != 0 && (limits.processes < 8 || limits.processes > 4'194'304)) {
    return Error(Code::kInvalidArgument, "the limit of processes must be between 8 and 4194304");
  }
  return Ok();
}

std::string FormatCluster(const ClusterState& state) {
  Json nodes = Json::array();
  for (const NodeState& node : state.nodes) {
    nodes.push_back({{"image", node.image},
                     {"image_digest", node.image_digest},
                     {"tree_path", node.tree_path},
                     {"objects_dir", node.objects_dir},
                     {"command", node.command},
                     {"env", node.env},
                     {"machine_id", node.machine_id},
                     {"driver", std::string(layerfs::DriverName(node.driver))},
                     {"wanted", node.wanted},
                     {"volume", std::string(layerfs::VolumeKindName(node.volume))},
                     {"disk_bytes", node.disk_bytes}});
  }
  const Json json = {{"version", kVersion},
                     {"number", state.number},
                     {"name", state.name},
                     {"owner_uid", state.owner_uid},
                     {"phase", std::string(PhaseName(state.phase))},
                     {"subnet", state.prefix.ToString()},
                     {"id_first", state.id_first},
                     {"created_unix_ms", state.created_unix_ms},
                     {"cloned_from", state.cloned_from},
                     {"cpus", state.limits.cpus},
                     {"memory_bytes", state.limits.memory_bytes},
                     {"processes", state.limits.processes},
                     {"ssh_login_seed", ToHex(state.ssh.login_seed)},
                     {"ssh_host_seed", ToHex(state.ssh.host_seed)},
                     {"nodes", std::move(nodes)}};
  // Image configurations may hold any bytes: what is no UTF-8 is replaced, not thrown about.
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<ClusterState> ParseCluster(std::string_view text) {
  // The library throws on a missing key or a wrong type: both mean the file is not ours.
  try {
    Result<ClusterState> state = ClusterFromJson(Json::parse(text));
    if (!state.ok()) return Error(Code::kCorrupt, state.error().message());
    return state;
  } catch (const Json::exception& error) {
    return Error(Code::kCorrupt, error.what());
  }
}

std::string ClusterStore::PathOf(uint32_t number) const {
  return directory_ + "/" + std::to_string(number) + kSuffix;
}

Result<std::vector<ClusterState>> ClusterStore::Load(std::vector<uint32_t>* unreadable) const {
  RETURN_IF_ERROR(MakeDirectories(directory_, 0700));
  struct Close {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  const std::unique_ptr<DIR, Close> dir(::opendir(directory_.c_str()));
  if (dir == nullptr) return Errno("opendir " + directory_);
  std::vector<ClusterState> states;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string path = directory_ + "/" + name;
    uint32_t number = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
    if (parsed.ec != std::errc() || std::string_view(parsed.ptr) != kSuffix) {
      if (name.find(".json.") != std::string::npos) ::unlink(path.c_str());  // A write cut short.
      continue;
    }
    const auto text = ReadFile(path);
    auto state = text.ok() ? ParseCluster(*text) : Result<ClusterState>(text.error());
    if (state.ok() && state->number == number) {
      states.push_back(std::move(*state));
      continue;
    }
    LOG_ERROR(path + " cannot be used and is left alone: " +
              (state.ok() ? "it holds another number" : state.error().message()));
    unreadable->push_back(number);
  }
  return states;
}

Status ClusterStore::Write(const ClusterState& state) const {
  return WriteFileDurably(PathOf(state.number), FormatCluster(state), 0600);
}

Status ClusterStore::Remove(uint32_t number) const {
  const std::string path = PathOf(number);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Errno("unlink " + path);
  return FsyncDirectory(directory_);
}

Result<OwnerIds> OwnerIds::Load(const std::string& path, uint32_t first) {
  OwnerIds ids(path, first);
  if (!PathExists(path)) return ids;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  try {
    std::set<uint32_t> ranges;
    const Json json = Json::parse(text);
    for (const Json& entry : json.at("owners")) {
      const auto range = entry.at("id_first").get<uint32_t>();
      ids.ranges_[entry.at("uid").get<uid_t>()] = range;
      if (!ranges.insert(range).second) {
        return Error(Code::kCorrupt, path + ": two owners have one range");
      }
    }
  } catch (const Json::exception& error) {
    return Error(Code::kCorrupt, path + ": " + error.what());
  }
  return ids;
}

Result<uint32_t> OwnerIds::RangeOf(uid_t owner) {
  const std::lock_guard lock(mutex_);
  if (const auto found = ranges_.find(owner); found != ranges_.end()) return found->second;
  uint64_t range = first_;
  for (const auto& [uid, taken] : ranges_) {
    range = std::max<uint64_t>(range, static_cast<uint64_t>(taken) + kIdCount);
  }
  if (range + kIdCount > UINT32_MAX) {
    return Error(Code::kResourceExhausted, "no id range is left for another owner");
  }
  ranges_[owner] = static_cast<uint32_t>(range);
  Json owners = Json::array();
  for (const auto& [uid, taken] : ranges_) owners.push_back({{"uid", uid}, {"id_first", taken}});
  if (Status written = WriteFileDurably(path_, Json({{"owners", owners}}).dump(1) + "\n", 0600);
      !written.ok()) {
    ranges_.erase(owner);
    return written.error();
  }
  return static_cast<uint32_t>(range);
}

}  // namespace strata::vcluster
