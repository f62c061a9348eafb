#include "vclusterd/host/part_store.h"

#include <dirent.h>
#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <set>

#include "common/digest.h"
#include "common/file_io.h"
#include "common/log.h"
#include "layerfs/root.h"
#include "layerfs/volume/volume_store.h"
#include "net/desired.h"
#include "net/subnets.h"
#include "vclusterd/definition/definition.h"
#include "vclusterd/jobs/run_id.h"
#include "vclusterd/runtime/node_spec.h"
#include "vclusterd/runtime/ssh_keys.h"
#include "vclusterd/volumes/shared_dir.h"

namespace strata::vcluster {
namespace {

using host::v1::HostPart;
using host::v1::LocalNode;
using host::v1::NodeOrder;
using host::v1::Part;

constexpr uint32_t kVersion = 2;  // 1: before Vclusters could have several hosts.
constexpr char kSuffix[] = ".json";
constexpr size_t kFileBytesMax = 64u << 20;
constexpr std::string_view kHome = "home";  // The volume that is the owner's own directory.
constexpr int kVolumesMax = 64;
constexpr size_t kMountPathMax = 255;

Error Wrong(const std::string& what) { return Error(Code::kInvalidArgument, "an order: " + what); }

Limits LimitsOf(const host::v1::Limits& limits) {
  Limits checked;
  checked.cpus = limits.cpus();
  checked.memory_bytes = limits.memory_bytes();
  checked.processes = limits.processes();
  checked.io_bytes_per_s = limits.io_bytes_per_s();
  return checked;
}

// Runs of this node, of commands that the part has.
Status CheckTasks(const Part& part, const NodeOrder& node) {
  std::set<std::string> seen;
  for (const host::v1::TaskOrder& task : node.tasks()) {
    const auto id = RunId::Parse(task.id());
    if (!id.has_value() || id->node != node.index() || !seen.insert(task.id()).second) {
      return Wrong("node " + std::to_string(node.index()) + " has a bad run of a task");
    }
    const bool known =
        std::any_of(part.task_commands().begin(), part.task_commands().end(),
                    [&](const auto& command) { return command.key() == id->CommandKey(); });
    if (!known) return Wrong("run " + task.id() + " has no command");
  }
  return Ok();
}

Status CheckCommand(const host::v1::TaskCommand& command) {
  const std::string name = "command " + command.key();
  if (command.argv().empty() || command.argv(0).empty()) return Wrong(name + " is empty");
  if (command.uid() >= kIdCount || command.gid() >= kIdCount) {
    return Wrong(name + " has a bad user");
  }
  if (command.timeout_s() == 0) return Wrong(name + " has no time");
  return Ok();
}

Status CheckNode(const NodeOrder& node) {
  const std::string name = "node " + std::to_string(node.index());
  if (node.index() >= net::kNodesMaxPerCluster) return Wrong(name + " is out of range");
  if (node.group() > net::kGroupMax) return Wrong(name + " has a bad group");
  if (node.machine_id().size() != 32 || !FromHex(node.machine_id()).ok()) {
    return Wrong(name + " has a bad machine-id");
  }
  if (node.hostname().empty() || node.hostname().size() > 63) {
    return Wrong(name + " has a bad host name");
  }
  RETURN_IF_ERROR(net::Ipv4::Parse(node.address()));
  RETURN_IF_ERROR(CheckLimits(LimitsOf(node.limits())));
  if (!node.driver().empty()) RETURN_IF_ERROR(layerfs::ParseDriver(node.driver()));
  if (node.volumes_size() > kVolumesMax) return Wrong(name + " has too many volumes");
  for (const host::v1::VolumeMount& volume : node.volumes()) {
    const bool home = volume.volume() == kHome && volume.directory().empty();
    if (!home && !IsVolumeDirectory(volume.directory())) {
      return Wrong(name + " has a volume that is nowhere");
    }
    if (!volume.path().starts_with('/') || volume.path().size() > kMountPathMax) {
      return Wrong(name + " has a volume with a bad path");
    }
  }
  return Ok();
}

Status CheckLocal(const LocalNode& node) {
  if (node.index() >= net::kNodesMaxPerCluster) return Wrong("a node is out of range");
  if (!node.made()) return Ok();
  RETURN_IF_ERROR(layerfs::ParseDriver(node.driver()));
  ASSIGN_OR_RETURN(const layerfs::VolumeKind kind, layerfs::ParseVolumeKind(node.volume()));
  if ((kind == layerfs::VolumeKind::kNone) != (node.disk_bytes() == 0)) {
    return Wrong("volume and limit of disk do not agree");
  }
  return Ok();
}

std::string NameOf(uint32_t number) { return std::to_string(number) + kSuffix; }

// What cannot be would take all networks of the host with it.
Status CheckAccepts(const Part& part) {
  if (part.accepts_size() > static_cast<int>(net::kGroupRulesMax)) return Wrong("too many rules");
  for (const host::v1::AcceptRule& rule : part.accepts()) {
    const bool of_group = rule.from() == host::v1::AcceptRule::GROUP;
    const bool of_ports =
        rule.kind() == host::v1::AcceptRule::TCP || rule.kind() == host::v1::AcceptRule::UDP;
    const bool good_ports = of_ports ? rule.port_first() != 0 && rule.port_last() <= 65535 &&
                                           rule.port_first() <= rule.port_last()
                                     : rule.port_first() == 0 && rule.port_last() == 0;
    if (!host::v1::AcceptRule_From_IsValid(rule.from()) ||
        !host::v1::AcceptRule_Kind_IsValid(rule.kind()) || !good_ports ||
        of_group != (rule.from_group() != 0) || rule.from_group() > net::kGroupMax ||
        rule.to_group() == 0 || rule.to_group() > net::kGroupMax) {
      return Wrong("a rule that says nothing");
    }
  }
  return Ok();
}

// Of the Vcluster, or of another one.
Status CheckPeers(const google::protobuf::RepeatedPtrField<host::v1::Peer>& peers,
                  const net::Ipv4Prefix& prefix) {
  if (peers.size() > static_cast<int>(net::kNodesMaxPerCluster)) return Wrong("too many peers");
  std::set<net::Ipv4> seen;
  for (const host::v1::Peer& peer : peers) {
    ASSIGN_OR_RETURN(const net::Ipv4 address, net::Ipv4::Parse(peer.address()));
    if (!prefix.Contains(address)) return Wrong("an address outside of the subnet");
    if (!seen.insert(address).second) return Wrong("an address twice");
    if (peer.group() > net::kGroupMax) return Wrong("a group out of range");
    if (!peer.host_address().empty()) RETURN_IF_ERROR(net::Ipv4::Parse(peer.host_address()));
    for (const host::v1::Forward& forward : peer.forwards()) {
      if (forward.host_port() == 0 || forward.host_port() > 65535) return Wrong("a bad port");
    }
  }
  return Ok();
}

Result<net::Ipv4Prefix> SubnetOf(const std::string& text) {
  ASSIGN_OR_RETURN(const net::Ipv4Prefix prefix, net::Ipv4Prefix::Parse(text));
  if (prefix.length < net::kClusterPrefixLength || prefix.length > net::kClusterPrefixLengthMax) {
    return Wrong("the subnet is no /24 to /28");
  }
  return prefix;
}

Status CheckPeerVclusters(const Part& part) {
  std::set<uint32_t> seen = {part.number()};
  for (const host::v1::PeerVcluster& peer : part.peer_vclusters()) {
    if (peer.number() == 0 || peer.number() >= kClustersMax || !seen.insert(peer.number()).second) {
      return Wrong("a peer that cannot be");
    }
    ASSIGN_OR_RETURN(const net::Ipv4Prefix prefix, SubnetOf(peer.subnet()));
    RETURN_IF_ERROR(CheckPeers(peer.nodes(), prefix));
  }
  return Ok();
}

Status CheckHostPart(const HostPart& part) {
  if (part.version() != kVersion) return Wrong("unknown version");
  RETURN_IF_ERROR(CheckPart(part.order()));
  for (const LocalNode& node : part.nodes()) RETURN_IF_ERROR(CheckLocal(node));
  return Ok();
}

}  // namespace

std::string NodeId(uint32_t number, uint32_t index) {
  return std::to_string(number) + "-" + std::to_string(index);
}

Status CheckPart(const Part& part) {
  if (part.number() == 0 || part.number() >= kClustersMax) return Wrong("a number out of range");
  if (part.nodes().empty()) return Ok();  // A removal.
  RETURN_IF_ERROR(CheckClusterName(part.cluster()));
  ASSIGN_OR_RETURN(const net::Ipv4Prefix prefix, SubnetOf(part.subnet()));
  if (part.ssh_login_seed().size() != kSshSeedSize || part.ssh_host_seed().size() != kSshSeedSize) {
    return Wrong("bad keys");
  }
  for (const std::string& seed : {part.ssh_login_seed_before(), part.ssh_host_seed_before()}) {
    if (!seed.empty() && seed.size() != kSshSeedSize) return Wrong("bad keys of before");
  }
  std::set<uint32_t> seen;
  for (const NodeOrder& node : part.nodes()) {
    RETURN_IF_ERROR(CheckNode(node));
    RETURN_IF_ERROR(CheckTasks(part, node));
    if (!seen.insert(node.index()).second) return Wrong("a node twice");
    if (node.index() >= net::NodesMaxOf(prefix) ||
        !prefix.Contains(net::Ipv4::Parse(node.address()).value())) {
      return Wrong("an address outside of the subnet");
    }
  }
  for (const host::v1::TaskCommand& command : part.task_commands()) {
    RETURN_IF_ERROR(CheckCommand(command));
  }
  const uint64_t limit = part.owner_network_bits_per_s();
  if (limit != 0 && (limit < net::kBitsPerSecondMin || limit > net::kUserBitsPerSecondMax)) {
    return Wrong("a limit of the owner out of range");
  }
  if (!part.host_address().empty()) RETURN_IF_ERROR(net::Ipv4::Parse(part.host_address()));
  if (part.underlay_mtu() != 0 &&
      (part.underlay_mtu() < net::kUnderlayMtuMin || part.underlay_mtu() > net::kUnderlayMtuMax)) {
    return Wrong("no network has such an MTU");
  }
  RETURN_IF_ERROR(CheckPeers(part.peers(), prefix));
  RETURN_IF_ERROR(CheckPeerVclusters(part));
  return CheckAccepts(part);
}

std::string FormatHostPart(const HostPart& part) {
  HostPart versioned = part;
  versioned.set_version(kVersion);
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string json;
  // Fails for strings that are no UTF-8 only, and protobuf refuses those when they are parsed.
  if (!google::protobuf::util::MessageToJsonString(versioned, &json, options).ok()) return {};
  return json;
}

Result<HostPart> ParseHostPart(std::string_view json) {
  HostPart part;
  const auto parsed = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(json.data(), json.size()), &part);
  if (!parsed.ok()) return Error(Code::kCorrupt, parsed.ToString());
  if (Status checked = CheckHostPart(part); !checked.ok()) {
    return Error(Code::kCorrupt, checked.error().message());
  }
  return part;
}

std::string PartStore::PathOf(uint32_t number) const { return directory_ + "/" + NameOf(number); }

Result<std::vector<HostPart>> PartStore::Load(std::vector<uint32_t>* unreadable) const {
  RETURN_IF_ERROR(MakeDirectories(directory_, 0700));
  struct Close {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  const std::unique_ptr<DIR, Close> dir(::opendir(directory_.c_str()));
  if (dir == nullptr) return Errno("opendir " + directory_);
  std::vector<HostPart> parts;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string path = directory_ + "/" + name;
    uint32_t number = 0;
    const auto digits = std::from_chars(name.data(), name.data() + name.size(), number);
    if (digits.ec != std::errc() || std::string_view(digits.ptr) != kSuffix) {
      if (name.find(".json.") != std::string::npos) ::unlink(path.c_str());  // A write cut short.
      continue;
    }
    const auto text = ReadFile(path, kFileBytesMax);
    auto part = text.ok() ? ParseHostPart(*text) : Result<HostPart>(text.error());
    if (part.ok() && part->order().number() != number) part = Error(Code::kCorrupt, "wrong number");
    if (!part.ok()) {
      LOG_ERROR(path + ": " + part.error().message() + "; its nodes are left alone");
      unreadable->push_back(number);
      continue;
    }
    parts.push_back(std::move(*part));
  }
  return parts;
}

std::vector<Status> PartStore::Write(const std::vector<HostPart>& parts,
                                     const std::function<Status()>& first) const {
  std::vector<Status> results;
  std::vector<NamedData> files;
  for (const HostPart& part : parts) {
    std::string json = FormatHostPart(part);
    results.push_back(
        json.empty() ? Status(Error(Code::kInvalidArgument, "an order holds text that is no UTF-8"))
                     : Ok());
    if (!json.empty()) files.push_back({NameOf(part.order().number()), std::move(json)});
  }
  const std::vector<Status> written = WriteFilesDurably(directory_, files, 0600, first);
  auto next = written.begin();
  for (Status& result : results) {
    if (result.ok()) result = *next++;
  }
  return results;
}

Status PartStore::Write(const HostPart& part, const std::function<Status()>& first) const {
  return Write(std::vector<HostPart>{part}, first).front();
}

Status PartStore::Remove(uint32_t number) const {
  const std::string path = PathOf(number);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Errno("unlink " + path);
  return FsyncDirectory(directory_);
}

}  // namespace strata::vcluster
