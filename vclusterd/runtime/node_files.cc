#include "vclusterd/runtime/node_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "common/file_io.h"
#include "vclusterd/runtime/ssh_keys.h"

namespace strata::vcluster {
namespace {

constexpr char kHostResolvConf[] = "/etc/resolv.conf";

// Written in place: those that are mounted one by one have to stay the same file.
Status Put(int dir, const std::string& name, std::string_view text, mode_t mode, uid_t owner) {
  ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  RETURN_IF_ERROR(WriteAll(fd.get(), text), name);
  if (::fchown(fd.get(), owner, owner) != 0) return Errno("chown " + name);
  if (::fchmod(fd.get(), mode) != 0) return Errno("chmod " + name);
  return fd.Close();
}

// For what programs of a running node may be about to read: they have the old file or the new one.
Status Replace(int dir, const std::string& name, std::string_view text, mode_t mode, uid_t owner) {
  const std::string next = "." + name + ".new";
  RETURN_IF_ERROR(Put(dir, next, text, mode, owner));
  if (::renameat(dir, next.c_str(), dir, name.c_str()) != 0) return Errno("rename " + name);
  return Ok();
}

Result<UniqueFd> MakeDirectory(const std::string& path, mode_t mode, uid_t owner) {
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return Errno("mkdir " + path);
  ASSIGN_OR_RETURN(UniqueFd fd, Open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (::fchown(fd.get(), owner, owner) != 0) return Errno("chown " + path);
  if (::fchmod(fd.get(), mode) != 0) return Errno("chmod " + path);
  return fd;
}

// "    nameserver 127.0.0.53" -> true
bool IsLoopbackServer(std::string_view line) {
  if (!line.starts_with("nameserver")) return false;
  line.remove_prefix(std::min(line.find_first_of("0123456789:"), line.size()));
  return line.starts_with("127.") || line.starts_with("::1");
}

}  // namespace

std::string HostsFile(const NodeSpec& spec) {
  std::string text = "127.0.0.1 localhost\n";
  for (const auto* nodes : {&spec.peers, &spec.neighbours}) {
    for (const NodeAddress& node : *nodes) {
      std::string names = " " + node.hostname;
      for (const std::string& alias : node.aliases) names += " " + alias;
      text += node.address.ToString() + names + "\n";
      if (node.address6) text += node.address6->ToString() + names + "\n";
    }
  }
  return text;
}

std::string SshClientConfig(const NodeSpec& spec) {
  std::string hosts;
  for (const NodeAddress& peer : spec.peers) {
    hosts += " " + peer.hostname + " " + peer.address.ToString();
    if (peer.address6) hosts += " " + peer.address6->ToString();
    for (const std::string& alias : peer.aliases) hosts += " " + alias;
  }
  const std::string dir = kStrataDirInNode;
  return "# Made by Strata: the nodes of this Vcluster reach each other without a password.\n"
         "Host" +
         hosts +
         "\n"
         "  IdentityFile " +
         dir +
         "/login_key\n"
         "  GlobalKnownHostsFile " +
         dir +
         "/known_hosts /etc/ssh/ssh_known_hosts\n"
         "  LogLevel ERROR\n";
}

// One line for each key by which they may be known.
std::string KnownHosts(const NodeSpec& spec, const std::vector<std::string>& host_public_lines) {
  std::set<std::string> all;
  for (const NodeAddress& peer : spec.peers) {
    all.insert({peer.hostname, peer.address.ToString()});
    if (peer.address6) all.insert(peer.address6->ToString());
    all.insert(peer.aliases.begin(), peer.aliases.end());
  }
  std::string names;
  for (const std::string& name : all) names += (names.empty() ? "" : ",") + name;
  std::string text;
  for (const std::string& line : host_public_lines) text += names + " " + line;
  return text;
}

std::string ResolvConf(const NodeSpec& spec, const std::string& host_resolv_conf) {
  std::string text;
  std::string searched;  // By the last line of the host that says so.
  std::string_view rest = host_resolv_conf;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::string_view word = line.substr(0, line.find_first_of(" \t"));
    if (!spec.domain.empty() && (word == "search" || word == "domain")) {
      searched = line.substr(word.size());
    } else if (!IsLoopbackServer(line)) {
      text.append(line).push_back('\n');
    }
  }
  if (spec.domain.empty()) return text;
  return "nameserver " + spec.gateway.ToString() + "\nsearch " + spec.domain + searched + "\n" +
         text;
}

Status WriteNodeFiles(const NodeSpec& spec, const std::string& node_dir, SshKeyPairs& keys) {
  ASSIGN_OR_RETURN(const UniqueFd node, MakeDirectory(node_dir, 0711, 0));
  ASSIGN_OR_RETURN(const UniqueFd root, MakeDirectory(node_dir + "/root", 0711, 0));
  ASSIGN_OR_RETURN(const UniqueFd etc, MakeDirectory(node_dir + "/etc", 0755, 0));
  ASSIGN_OR_RETURN(const UniqueFd strata, MakeDirectory(node_dir + "/strata", 0755, spec.id_first));
  const auto resolv = ReadFile(kHostResolvConf, 1u << 20);
  const uid_t owner = spec.id_first;
  RETURN_IF_ERROR(Put(etc.get(), "hosts", HostsFile(spec), 0644, owner));
  RETURN_IF_ERROR(Put(etc.get(), "hostname", spec.self.hostname + "\n", 0644, owner));
  RETURN_IF_ERROR(Put(etc.get(), "machine-id", spec.machine_id + "\n", 0444, owner));
  RETURN_IF_ERROR(Put(etc.get(), "resolv.conf",
                      resolv.ok() ? ResolvConf(spec, *resolv) : ResolvConf(spec, ""), 0644, owner));
  RETURN_IF_ERROR(Put(etc.get(), "ssh.conf", SshClientConfig(spec), 0644, owner));

  ASSIGN_OR_RETURN(const auto login, keys.Of(spec.ssh.login_seed, "strata-login"));
  ASSIGN_OR_RETURN(const auto host, keys.Of(spec.ssh.host_seed, "strata-host"));
  std::string may_log_in = login->public_line;
  std::vector<std::string> known = {host->public_line};
  if (!spec.ssh.login_seed_before.empty()) {
    ASSIGN_OR_RETURN(const auto before, keys.Of(spec.ssh.login_seed_before, "strata-login"));
    may_log_in += before->public_line;
  }
  if (!spec.ssh.host_seed_before.empty()) {
    ASSIGN_OR_RETURN(const auto before, keys.Of(spec.ssh.host_seed_before, "strata-host"));
    known.push_back(before->public_line);
  }
  // Whom a node knows first, then what it shows.
  RETURN_IF_ERROR(Replace(strata.get(), "known_hosts", KnownHosts(spec, known), 0644, owner));
  RETURN_IF_ERROR(Replace(strata.get(), "authorized_keys", may_log_in, 0644, owner));
  RETURN_IF_ERROR(Replace(strata.get(), "login_key", login->private_file, 0600, owner));
  RETURN_IF_ERROR(Replace(strata.get(), "host_key", host->private_file, 0600, owner));
  // The command is mounted over it.
  return Put(strata.get(), kNodeCommandName, "", 0444, owner);
}

std::vector<std::string> NodeFileEntries(const std::string& node_dir, const std::string& vinit,
                                         const std::string& command) {
  std::vector<std::string> entries = {
      "shm dev/shm tmpfs rw,nosuid,nodev,mode=1777,create=dir 0 0",
      vinit + " dev/.vinit none bind,ro,create=file 0 0",
      node_dir + "/strata dev/.strata none bind,ro,create=dir 0 0",
  };
  if (!command.empty()) {
    entries.push_back(command + " dev/.strata/" + kNodeCommandName + " none bind,ro 0 0");
  }
  for (const std::string& path : NodeFileMountPoints()) {
    entries.push_back(node_dir + "/" + path + " " + path + " none bind,ro,create=file 0 0");
  }
  return entries;
}

std::vector<std::string> NodeFileMountPoints() {
  return {"etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/machine-id"};
}

std::vector<std::pair<std::string, std::string>> OptionalFileEntries(const std::string& node_dir) {
  return {{"etc/ssh/ssh_config.d", node_dir + "/etc/ssh.conf etc/ssh/ssh_config.d/strata.conf none "
                                              "bind,ro,create=file 0 0"}};
}

}  // namespace strata::vcluster
