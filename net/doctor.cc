#include "net/doctor.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "common/file_io.h"
#include "net/forwarding.h"
#include "net/path_check.h"

namespace strata::net {
namespace {

using Level = Finding::Level;

Finding Ok(std::string what) { return {Level::kOk, std::move(what), ""}; }
Finding Warning(std::string what, std::string remedy) {
  return {Level::kWarning, std::move(what), std::move(remedy)};
}
Finding Problem(std::string what, std::string remedy) {
  return {Level::kProblem, std::move(what), std::move(remedy)};
}

bool IsOn(const std::string& sysctl) {
  const auto value = ReadFile("/proc/sys/" + sysctl, 16);
  return value.ok() && !value->starts_with('0');
}

// The ways to other hosts, each once.
struct Way {
  Ipv4 local;
  uint32_t mtu = 0;
  auto operator<=>(const Way&) const = default;
};
std::map<Way, std::set<Ipv4>> WaysOf(const DesiredNetwork& desired) {
  std::map<Way, std::set<Ipv4>> ways;
  for (const Bridge& bridge : desired.bridges) {
    if (!bridge.overlay) continue;
    std::set<Ipv4>& hosts = ways[{bridge.overlay->local, bridge.overlay->underlay_mtu}];
    for (const RemoteNode& remote : bridge.overlay->remotes) hosts.insert(remote.host);
  }
  return ways;
}

void ExamineKernel(const DesiredNetwork& desired, std::vector<Finding>* out) {
  if (desired.bridges.empty()) return;
  if (IsOn("net/ipv4/ip_forward")) {
    out->push_back(Ok("IPv4 is forwarded"));
  } else {
    out->push_back(Problem("IPv4 is not forwarded: nodes reach nothing outside of their network",
                           "see what turns net.ipv4.ip_forward off (sysctl.d, a firewall)"));
  }
  if (desired.pool6 && !HasIpv6()) {
    out->push_back(Warning("this host has no IPv6: its nodes have IPv4 alone",
                           "sysctl net.ipv6.conf.default.disable_ipv6=0, then start vclusterd and "
                           "vnetd again"));
  } else if (desired.pool6 && !IsOn("net/ipv6/conf/all/forwarding")) {
    out->push_back(
        Problem("IPv6 is not forwarded: nodes reach nothing outside of their network by it",
                "see what turns net.ipv6.conf.all.forwarding off (sysctl.d, a firewall)"));
  }
  if (IsOn("net/bridge/bridge-nf-call-iptables")) {
    out->push_back(Warning("bridged frames pass the host's IP packet filter too, which costs speed",
                           "sysctl net.bridge.bridge-nf-call-iptables=0, if nobody else needs it"));
  }
}

void ExamineOthersRules(Nft& nft, std::vector<Finding>* out) {
  const auto chains = nft.Run("list chains");
  if (!chains.ok()) {
    out->push_back(Problem("the packet filter cannot be read: " + chains.error().message(),
                           "a kernel with nf_tables is needed"));
    return;
  }
  const std::vector<std::string> dropping = ChainsThatDrop(*chains);
  for (const std::string& chain : dropping) {
    out->push_back(Warning("chain " + chain + " drops what it does not know: packets of nodes too",
                           "let it accept what comes from and goes to interfaces s*"));
  }
  if (dropping.empty()) out->push_back(Ok("no other packet filter is in the way"));
}

void ExaminePaths(const DesiredNetwork& desired, std::chrono::milliseconds patience,
                  std::vector<Finding>* out) {
  for (const auto& [way, hosts] : WaysOf(desired)) {
    const auto near = Echo(way.local, hosts, kEchoBytesMin, patience);
    if (!near.ok()) {
      out->push_back(Problem("other hosts cannot be asked: " + near.error().message(),
                             "give this host the address that other hosts know"));
      continue;
    }
    const auto whole = Echo(way.local, *near, way.mtu, patience);
    for (const Ipv4 host : hosts) {
      if (!near->contains(host)) {
        out->push_back(
            Warning("host " + host.ToString() + " does not answer from " + way.local.ToString(),
                    "see whether it runs; if a firewall keeps echoes out, nobody can "
                    "say whether large frames pass"));
      } else if (!whole.ok() || !whole->contains(host)) {
        out->push_back(Problem("packets of " + std::to_string(way.mtu) + " bytes do not pass to " +
                                   host.ToString() + ": nodes' large frames are lost",
                               "start all workers with the --underlay-mtu that does pass, or "
                               "raise the MTU of what is on the way"));
      } else {
        out->push_back(
            Ok("packets of " + std::to_string(way.mtu) + " bytes pass to " + host.ToString()));
      }
    }
  }
}

}  // namespace

std::vector<Finding> ExaminePool6(const DesiredNetwork& desired,
                                  const std::vector<ObservedLink>& links) {
  std::vector<Finding> out;
  for (const ObservedLink& link : links) {
    if (IsNameOf(link.name, desired.instance, LinkKind::kBridge)) continue;
    for (const IpAddress& address : link.addresses6) {
      if (!desired.pool6 || !desired.pool6->Contains(address)) continue;
      out.push_back(Problem(address.ToString() + " of link " + link.name +
                                " is in the pool of IPv6, " + desired.pool6->ToString(),
                            "start all hosts of the cluster with another --subnet-pool6"));
    }
  }
  return out;
}

std::vector<Finding> ExamineNames(const DesiredNetwork& desired,
                                  const std::optional<Error>& problem) {
  std::vector<Finding> out;
  if (problem && problem->sys_errno() == EADDRINUSE) {
    out.push_back(Problem("nodes' questions for names are not answered: " + problem->message(),
                          "another program has port 53 of all addresses (ss -lnp sport = 53): have "
                          "it listen at its own ones (dnsmasq: bind-dynamic; named: listen-on); "
                          "vnetd tries again by itself"));
  } else if (problem) {
    out.push_back(Problem("nodes' questions for names are not answered: " + problem->message(),
                          "vnetd tries again by itself; /etc/hosts of nodes has their names"));
  }
  const auto text = ReadFile(kResolvConf, 1u << 20);
  if (desired.resolvers.empty() && (!text.ok() || NameServersIn(*text).empty())) {
    out.push_back(Warning(std::string(kResolvConf) + " has no name server: nodes find each other "
                                                     "by name, and nobody else",
                          "give the host a resolver, or name \"resolvers\" in vnetd's file"));
  }
  if (out.empty()) out.push_back(Ok("nodes' questions for names are answered"));
  return out;
}

std::vector<Finding> ExamineUnderlay(const DesiredNetwork& desired,
                                     const std::vector<ObservedLink>& links) {
  std::vector<Finding> out;
  for (const auto& [way, hosts] : WaysOf(desired)) {
    const Ipv4 local = way.local;
    const auto link = std::find_if(links.begin(), links.end(), [&](const ObservedLink& one) {
      return std::any_of(one.addresses.begin(), one.addresses.end(),
                         [&](const Ipv4Prefix& address) { return address.base == local; });
    });
    if (link == links.end()) {
      out.push_back(Problem("no link has this host's address " + local.ToString(),
                            "give a link that address, or start the worker with another --listen"));
    } else if (!link->up) {
      out.push_back(Problem("link " + link->name + " with this host's address is down",
                            "ip link set " + link->name + " up"));
    } else if (link->mtu < way.mtu) {
      out.push_back(Problem("link " + link->name + " has an MTU of " + std::to_string(link->mtu) +
                                ", the overlay takes it for " + std::to_string(way.mtu),
                            "start all workers with --underlay-mtu " + std::to_string(link->mtu)));
    } else {
      out.push_back(Ok("link " + link->name + " has " + local.ToString() + " and an MTU of " +
                       std::to_string(link->mtu)));
    }
  }
  return out;
}

std::vector<std::string> ChainsThatDrop(std::string_view chains) {
  std::vector<std::string> found;
  std::string table;
  std::string chain;
  while (!chains.empty()) {
    const size_t end = std::min(chains.find('\n'), chains.size());
    std::string_view line = chains.substr(0, end);
    chains.remove_prefix(std::min(end + 1, chains.size()));
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    const auto name = [&](std::string_view word) {
      return std::string(line.substr(word.size(), line.rfind(" {") - word.size()));
    };
    if (line.starts_with("table ")) {
      table = name("table ");
    } else if (line.starts_with("chain ")) {
      chain = name("chain ");
    } else if (line.starts_with("type filter hook forward ") &&
               line.find("policy drop") != line.npos && table.find(kTablePrefix) == table.npos) {
      found.push_back(table + " " + chain);
    }
  }
  return found;
}

std::vector<Finding> Examine(const DesiredNetwork& desired, const std::vector<ObservedLink>& links,
                             Nft& nft, std::chrono::milliseconds patience) {
  std::vector<Finding> out;
  ExamineKernel(desired, &out);
  ExamineOthersRules(nft, &out);
  for (Finding& finding : ExaminePool6(desired, links)) out.push_back(std::move(finding));
  for (Finding& finding : ExamineUnderlay(desired, links)) out.push_back(std::move(finding));
  ExaminePaths(desired, patience, &out);
  return out;
}

}  // namespace strata::net
