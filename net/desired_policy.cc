#include "net/desired_policy.h"

#include <map>
#include <set>
#include <string>
#include <utility>

namespace strata::net {
namespace {

using HostPorts = std::map<std::pair<Protocol, uint16_t>, std::string>;

Error Invalid(const std::string& what) { return Error(Code::kInvalidArgument, what); }

std::string TargetOf(Ipv4 address, uint16_t port, const Bridge& bridge) {
  return address.ToString() + ":" + std::to_string(port) + " on " + bridge.name;
}

std::string PortOf(Protocol protocol, uint16_t host_port) {
  return std::to_string(host_port) + "/" + std::string(ProtocolName(protocol)) + " of the host";
}

Status CheckBalanced(const BalancedForward& balanced, const Bridge& bridge) {
  const std::string port = PortOf(balanced.protocol, balanced.host_port);
  if (balanced.targets.empty() || balanced.targets.size() > kTargetsMax) {
    return Invalid("port " + port + " is forwarded to " + std::to_string(balanced.targets.size()) +
                   " targets on " + bridge.name + ", not to 1 to " + std::to_string(kTargetsMax));
  }
  std::set<std::pair<Ipv4, uint16_t>> seen;
  std::set<Ipv4> hosts;
  std::set<Ipv4> elsewhere;
  if (bridge.overlay) {
    for (const RemoteNode& remote : bridge.overlay->remotes) {
      hosts.insert(remote.host);
      elsewhere.insert(remote.address);
    }
  }
  for (const Target& target : balanced.targets) {
    const std::string name = TargetOf(target.address, target.port, bridge);
    if (target.port == 0) return Invalid("there is no port 0: " + name);
    if (elsewhere.contains(target.address)) {
      return Invalid("port " + port + " is forwarded to " + name +
                     ", a node of another host: name that host and a port that it forwards");
    }
    if (!bridge.IsNodeAddress(target.address) && !hosts.contains(target.address)) {
      return Invalid("port " + port + " is forwarded to " + name +
                     ", where neither a node nor a host of the network can be");
    }
    if (!seen.emplace(target.address, target.port).second) {
      return Invalid("port " + port + " is forwarded twice to " + name);
    }
  }
  return Ok();
}

}  // namespace

Status CheckForwards(const DesiredNetwork& desired) {
  HostPorts targets;
  std::set<uint16_t> tunnel_ports;
  for (const Bridge& bridge : desired.bridges) {
    if (bridge.overlay) tunnel_ports.insert(bridge.overlay->port);
  }
  const auto take = [&](Protocol protocol, uint16_t host_port,
                        const std::string& target) -> Status {
    const std::string port = PortOf(protocol, host_port);
    if (protocol == Protocol::kUdp && tunnel_ports.contains(host_port)) {
      return Invalid("port " + port + " is the overlay's and cannot be forwarded to " + target);
    }
    if (host_port == 0) {
      return Invalid("there is no port 0: port " + port + " is forwarded to " + target);
    }
    const auto [first, inserted] = targets.emplace(std::pair(protocol, host_port), target);
    if (inserted) return Ok();
    return Invalid("port " + port + " is forwarded twice: to " + first->second + " and to " +
                   target);
  };
  for (const Bridge& bridge : desired.bridges) {
    for (const Forward& forward : bridge.forwards) {
      const std::string port = PortOf(forward.protocol, forward.host_port);
      const std::string target = TargetOf(forward.address, forward.node_port, bridge);
      if (forward.node_port == 0) {
        return Invalid("there is no port 0: port " + port + " is forwarded to " + target);
      }
      if (!bridge.IsNodeAddress(forward.address)) {
        return Invalid("port " + port + " is forwarded to " + target + ", where no node can be");
      }
      RETURN_IF_ERROR(take(forward.protocol, forward.host_port, target));
    }
    for (const BalancedForward& balanced : bridge.balanced) {
      RETURN_IF_ERROR(CheckBalanced(balanced, bridge));
      RETURN_IF_ERROR(
          take(balanced.protocol, balanced.host_port,
               TargetOf(balanced.targets[0].address, balanced.targets[0].port, bridge)));
    }
  }
  return Ok();
}

Status CheckGroups(const DesiredNetwork& desired) {
  for (const Bridge& bridge : desired.bridges) {
    const std::string place = "a rule of groups of " + bridge.name + ": ";
    if (bridge.group_rules.size() > kGroupRulesMax) {
      return Invalid(place + "there are more than " + std::to_string(kGroupRulesMax));
    }
    for (const GroupRule& rule : bridge.group_rules) {
      const bool from_group = rule.from == GroupRule::From::kGroup;
      if (rule.to_group == 0 || rule.to_group > kGroupMax || from_group != (rule.from_group != 0) ||
          rule.from_group > kGroupMax) {
        return Invalid(place + "groups are numbers from 1 to " + std::to_string(kGroupMax));
      }
      const bool has_ports =
          rule.kind == GroupRule::Kind::kTcp || rule.kind == GroupRule::Kind::kUdp;
      if ((rule.port_first == 0) != (rule.port_last == 0) || rule.port_first > rule.port_last ||
          (rule.port_first != 0 && !has_ports)) {
        return Invalid(place + "no ports: " + std::to_string(rule.port_first) + " to " +
                       std::to_string(rule.port_last));
      }
    }
  }
  return Ok();
}

Status CheckPeers(const DesiredNetwork& desired) {
  for (const auto& [a, b] : PeersOf(desired)) {
    if (!a->prefix.Overlaps(b->prefix)) continue;
    return Invalid("networks " + std::to_string(a->number) + " and " + std::to_string(b->number) +
                   " cannot be peers: their prefixes " + a->prefix.ToString() + " and " +
                   b->prefix.ToString() + " overlap");
  }
  return Ok();
}

}  // namespace strata::net
