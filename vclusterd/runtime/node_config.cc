#include "vclusterd/runtime/node_config.h"

#include <map>

#include "vclusterd/runtime/cgroups.h"
#include "vclusterd/runtime/isolation.h"
#include "vclusterd/runtime/node_files.h"

namespace strata::vcluster {
namespace {

using Items = ConfigItems;

constexpr int kStopGraceSeconds = 5;

void AddLimits(const Limits& limits, bool unified, Items* items) {
  const std::string prefix = unified ? "lxc.cgroup2." : "lxc.cgroup.";
  for (const CgroupSetting& setting : SettingsOf(limits, unified, /*all=*/false)) {
    items->emplace_back(prefix + setting.file, setting.value);
  }
}

void AddNetwork(const NodeSpec& spec, Items* items) {
  const std::string net = "lxc.net.0.";
  items->emplace_back(net + "type", "veth");
  if (!spec.bridge.empty()) items->emplace_back(net + "link", spec.bridge);
  items->emplace_back(net + "veth.pair", spec.veth);
  items->emplace_back(net + "name", kNodeLink);
  items->emplace_back(net + "hwaddr", net::ToString(spec.mac));
  items->emplace_back(net + "mtu", std::to_string(spec.mtu));
  items->emplace_back(net + "flags", "up");
  items->emplace_back(net + "ipv4.address",
                      spec.self.address.ToString() + "/" + std::to_string(spec.prefix.length));
  items->emplace_back(net + "ipv4.gateway", spec.gateway.ToString());
}

// sshd as vinit starts it: one process per connection, with this Vcluster's keys.
std::vector<std::string> SshdArguments() {
  const std::string dir = kStrataDirInNode;
  return {"--dir",
          "/run/sshd",
          "--listen",
          "22",
          "/usr/sbin/sshd",
          "-i",
          "-o",
          "HostKey=" + dir + "/host_key",
          "-o",
          "AuthorizedKeysFile=" + dir + "/authorized_keys .ssh/authorized_keys",
          "-o",
          "UseDNS=no",
          ";"};
}

}  // namespace

StartNodeRequest MakeStartRequest(const NodeSpec& spec, const HostLayout& host,
                                  bool cores_are_piped) {
  const std::string dir = host.NodeDir(spec.id);
  StartNodeRequest request;
  request.name = host.ContainerName(spec.id);
  request.lxc_path = host.NodesDir();
  request.root_dir = dir + "/root";
  request.lock_path = dir + "/lock";

  Items& items = request.items;
  const std::string ids = " 0 " + std::to_string(spec.id_first) + " " + std::to_string(kIdCount);
  items = {
      {"lxc.log.file", dir + "/lxc.log"},
      {"lxc.log.level", "ERROR"},
      {"lxc.uts.name", spec.self.hostname},
      {"lxc.rootfs.path", "dir:" + request.root_dir},
      {"lxc.idmap", "u" + ids},
      {"lxc.idmap", "g" + ids},
      // No console and no ttys: CRIU cannot dump them, and nobody logs in there.
      {"lxc.console.path", "none"},
      {"lxc.tty.max", "0"},
      {"lxc.pty.max", "1024"},
      {"lxc.autodev", "1"},
      // Writable, as CRIU needs them. What is not the node's own belongs to the host's root, so the
      // user namespace refuses it; mounts over it would be the node's to take away again.
      {"lxc.mount.auto", "proc:rw sys:rw"},
      {"lxc.signal.halt", "SIGTERM"},
  };
  AddIsolation(host, cores_are_piped, &items);
  AddNetwork(spec, &items);
  AddLimits(host.Bound(spec.limits), host.unified_cgroups, &items);
  for (const std::string& entry : NodeFileEntries(dir, host.vinit, host.command)) {
    items.emplace_back("lxc.mount.entry", entry);
  }
  for (const std::string& variable : NodeEnvironment(spec.env, {})) {
    items.emplace_back("lxc.environment", variable);
  }
  request.read_only_paths = host.FilesInNodes();
  request.read_only_paths.insert(request.read_only_paths.end(), {dir + "/etc", dir + "/strata"});
  request.mount_point_files = NodeFileMountPoints();
  request.id_first = spec.id_first;
  request.entries_if_directory = OptionalFileEntries(dir);
  for (const VolumeSpec& volume : spec.volumes) {
    request.volumes.emplace_back(volume.name, volume.path);
  }

  request.argv = {kVinitInNode,
                  "--grace",
                  std::to_string(kStopGraceSeconds),
                  "--started",
                  std::to_string(kStartedFd),
                  std::to_string(kLockFd)};
  if (spec.self.address6) {
    request.argv.insert(request.argv.end(), {"--ipv6", spec.self.address6->Hex()});
  }
  const std::vector<std::string> sshd = SshdArguments();
  request.argv.insert(request.argv.end(), sshd.begin(), sshd.end());
  if (!spec.command.empty()) {
    request.argv.push_back("--");
    // vinit takes absolute paths; env(1) looks a bare name up in the image's PATH.
    if (spec.command[0].front() != '/') request.argv.push_back("/usr/bin/env");
    request.argv.insert(request.argv.end(), spec.command.begin(), spec.command.end());
  }
  return request;
}

std::vector<std::string> NodeEnvironment(const std::vector<std::string>& image_env,
                                         const std::vector<std::string>& extra) {
  std::map<std::string, std::string> variables = {
      // Ours at the end: it hides nothing of the image's.
      {"PATH", std::string("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:") +
                   kStrataDirInNode},
      {"LANG", "C.UTF-8"},
      {"OMPI_ALLOW_RUN_AS_ROOT", "1"},
      {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
  };
  for (const auto* list : {&image_env, &extra}) {
    for (const std::string& entry : *list) {
      const size_t equals = entry.find('=');
      if (equals == std::string::npos || equals == 0) continue;
      variables[entry.substr(0, equals)] = entry.substr(equals + 1);
    }
  }
  std::vector<std::string> env;
  for (const auto& [name, value] : variables) env.push_back(name + "=" + value);
  return env;
}

}  // namespace strata::vcluster
