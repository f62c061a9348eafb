// The files that Strata gives a node. They are generated in the run directory and bind-mounted into
// the container read-only, so that nothing of them is in the upper: an image that is saved from a
// node holds no key, no machine-id and no address of it, and a clone gets its own.
//
//   /etc/hosts /etc/hostname /etc/resolv.conf /etc/machine-id
//   /etc/ssh/ssh_config.d/strata.conf     only where the image has that directory
//   /dev/.strata/                         keys, known_hosts, authorized_keys (of the node's root)
//   /dev/.strata/strata                   the command by which it asks for more nodes
//   /dev/.strata/socket, token            for that, where it may (vclusterd/host/node_sockets.h)
//   /dev/.vinit                           process 1
//
// Where an image lacks one of the files of /etc, an empty one stays behind in the upper as the
// mount point.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/result.h"
#include "vclusterd/runtime/node_spec.h"
#include "vclusterd/runtime/ssh_keys.h"

namespace strata::vcluster {

inline constexpr char kStrataDirInNode[] = "/dev/.strata";
inline constexpr char kVinitInNode[] = "/dev/.vinit";
// In kStrataDirInNode.
inline constexpr char kNodeCommandName[] = "strata";
inline constexpr char kNodeSocketName[] = "socket";
inline constexpr char kNodeTokenName[] = "token";

// The text of each file. Pure.
std::string HostsFile(const NodeSpec& spec);
std::string SshClientConfig(const NodeSpec& spec);
std::string KnownHosts(const NodeSpec& spec, const std::string& host_public_line);
// The host's resolv.conf without name servers that only the host itself can reach. Where the
// gateway answers questions for names, it is the first to be asked, and the Vcluster's domain is
// tried first; the host's name servers are for when it does not answer.
std::string ResolvConf(const NodeSpec& spec, const std::string& host_resolv_conf);

// Writes all files of the node below `node_dir` (which it makes). Not synced: they are made anew at
// every start.
Status WriteNodeFiles(const NodeSpec& spec, const std::string& node_dir, SshKeyPairs& keys);

// liblxc mount entries for them; the second list holds those that need a directory in the root.
// `command`: empty where there is none.
std::vector<std::string> NodeFileEntries(const std::string& node_dir, const std::string& vinit,
                                         const std::string& command);
// The same files of /etc, relative to the root.
std::vector<std::string> NodeFileMountPoints();
std::vector<std::pair<std::string, std::string>> OptionalFileEntries(const std::string& node_dir);

}  // namespace strata::vcluster
