#include "net/remote_forwards.h"

#include <map>
#include <set>
#include <string>
#include <utility>

#include "net/guard_rules.h"

namespace strata::net {
namespace {

constexpr Ipv4Prefix kTransit{{0xf0000000}, kTransitPrefixLength};

// After connections are known (-200), before anything is translated (-100).
constexpr char kHook[] = "type filter hook prerouting priority mangle; policy accept;";

// Answers of connections that began by this host. Not what the node itself began from the port: of
// an answer that came when these rules were not there, the kernel makes such a connection, and
// would keep it for days. Peers are reached by this host, which may see one half of a connection
// only.
constexpr char kOwn[] = R"(
  ct direction reply ct state established,related accept
  iifname . ip daddr @peers accept
)";
constexpr char kAnswers[] = R"(
  iifname . ether daddr . ip saddr . ip protocol . th sport vmap @answers
)";

constexpr char kReturn[] = R"(
  iifname . ether daddr . ip saddr @answering ct status dnat ct direction reply accept
  iifname . ether daddr . ip saddr @answering counter name stray_answer drop
  ether daddr @own_macs counter name stray_answer drop
)";

Error Wrong(const Bridge& bridge, const RemoteForward& forward, const std::string& what) {
  return Error(Code::kInvalidArgument, "a forward of host " + forward.host.ToString() + " to " +
                                           forward.address.ToString() + ":" +
                                           std::to_string(forward.node_port) + " on " +
                                           bridge.name + ": " + what);
}

std::string ProtocolText(Protocol protocol) { return std::string(ProtocolName(protocol)); }

Status CheckOne(const Bridge& bridge, const RemoteForward& forward,
                const std::set<Ipv4>& elsewhere) {
  if (!bridge.overlay) return Wrong(bridge, forward, "there is no overlay");
  if (forward.node_port == 0) return Wrong(bridge, forward, "there is no port 0");
  if (!bridge.IsNodeAddress(forward.address)) return Wrong(bridge, forward, "no node can be there");
  if (elsewhere.contains(forward.address)) {
    return Wrong(bridge, forward, "the node is on another host");
  }
  const uint32_t first = forward.host.value >> 24;
  if (first == 0 || first >= 224 || forward.host == bridge.overlay->local ||
      TransitAddress(forward.host) == kTransitOwn) {
    return Wrong(bridge, forward, "no other host can have that address");
  }
  return Ok();
}

}  // namespace

Ipv4 TransitAddress(Ipv4 host) { return kTransit.Host(host.value & ~kTransit.Mask()); }

std::vector<Ipv4> ForwardingHosts(const Bridge& bridge) {
  std::set<Ipv4> hosts;
  for (const RemoteForward& forward : bridge.remote_forwards) hosts.insert(forward.host);
  return {hosts.begin(), hosts.end()};
}

std::vector<const RemoteNode*> ForwardedRemotes(const Bridge& bridge) {
  if (!bridge.overlay || bridge.forwards.empty()) return {};
  std::set<Ipv4> targets;
  for (const Forward& forward : bridge.forwards) targets.insert(forward.address);
  std::map<Ipv4, const RemoteNode*> nodes;
  for (const RemoteNode& remote : bridge.overlay->remotes) {
    if (targets.contains(remote.address)) nodes.emplace(remote.address, &remote);
  }
  std::vector<const RemoteNode*> result;
  for (const auto& [address, node] : nodes) result.push_back(node);
  return result;
}

Status CheckRemoteForwards(const DesiredNetwork& desired) {
  for (const Bridge& bridge : desired.bridges) {
    if (bridge.remote_forwards.empty()) continue;
    std::set<Ipv4> elsewhere;
    if (bridge.overlay) {
      for (const RemoteNode& remote : bridge.overlay->remotes) elsewhere.insert(remote.address);
    }
    std::set<RemoteForward> seen;
    std::map<RemoteForward, size_t> hosts;  // Of a port, whose forward has no host here.
    std::map<Ipv4, Ipv4> transit;
    for (const RemoteForward& forward : bridge.remote_forwards) {
      RETURN_IF_ERROR(CheckOne(bridge, forward, elsewhere));
      if (!seen.insert(forward).second) return Wrong(bridge, forward, "it is there twice");
      if (++hosts[{forward.protocol, forward.address, forward.node_port, {}}] >
          kForwardingHostsMax) {
        return Wrong(bridge, forward,
                     "more than " + std::to_string(kForwardingHostsMax) + " hosts forward there");
      }
      const auto [other, first] = transit.emplace(TransitAddress(forward.host), forward.host);
      if (!first && other->second != forward.host) {
        return Wrong(bridge, forward,
                     "its last three bytes are those of host " + other->second.ToString() +
                         ", and hosts are told apart by these");
      }
    }
  }
  return Ok();
}

void AddReturnRules(const DesiredNetwork& desired, RuleTable* table) {
  RuleCollection answering{"set", "type ifname . ether_addr . ipv4_addr", {}};
  RuleCollection own_macs{"set", "type ether_addr", {}};
  bool forwarded_to = false;
  for (const Bridge& bridge : desired.bridges) {
    forwarded_to |= !bridge.remote_forwards.empty();
    const auto remotes = ForwardedRemotes(bridge);
    if (remotes.empty()) continue;
    const std::string own = ToString(MacForHost(bridge.overlay->vni, bridge.overlay->local));
    own_macs.elements.push_back(own);
    // Open vSwitch hands it over at the bridge's own MAC, where nothing else comes from elsewhere.
    for (const std::string& mac : {own, ToString(bridge.mac())}) {
      for (const RemoteNode* remote : remotes) {
        answering.elements.push_back(Quoted(bridge.name) + " . " + mac + " . " +
                                     remote->address.ToString());
      }
    }
  }
  RuleChain& chain = table->chains["returned"];
  chain.hook = kHook;
  table->counters.push_back("stray_answer");
  if (!own_macs.elements.empty()) chain.rules = RulesOf(kReturn);
  if (forwarded_to) {
    chain.rules.push_back("iifname " +
                          Quoted(NamePrefix(desired.instance, LinkKind::kBridge) + "*") +
                          " ip daddr " + kTransit.ToString() + " counter name stray_answer drop");
  }
  table->collections["answering"] = std::move(answering);
  table->collections["own_macs"] = std::move(own_macs);
}

// There always, with rules when there is something to send back: a difference adds no chain with a
// hook.
RuleTable MakeAnswerTable(const DesiredNetwork& desired) {
  RuleTable table{"ip", TableName(desired.instance), {}, {}, {}, {}};
  if (desired.bridges.empty()) return table;
  RuleCollection answers{
      "map", "type ifname . ether_addr . ipv4_addr . inet_proto . inet_service : verdict", {}};
  RuleCollection peers{"set", "type ifname . ipv4_addr; flags interval", {}};
  for (const Bridge& bridge : desired.bridges) {
    for (const RemoteForward& forward : bridge.remote_forwards) {
      const std::string target = forward.address.ToString() + " . " +
                                 ProtocolText(forward.protocol) + " . " +
                                 std::to_string(forward.node_port);
      const std::string chain = "answer." + std::to_string(bridge.number) + "." +
                                ProtocolText(forward.protocol) + "." + forward.address.ToString() +
                                "." + std::to_string(forward.node_port);
      // At the bridge's MAC only: what came here from another host is not sent on.
      answers.elements.push_back(Quoted(bridge.name) + " . " + ToString(bridge.mac()) + " . " +
                                 target + " : goto " + chain);
      auto& rules = table.chains[chain].rules;
      if (rules.empty()) rules = {"jump own", "drop"};
      rules.insert(rules.end() - 1,
                   "dup to " + TransitAddress(forward.host).ToString() + " device iif");
    }
  }
  for (const auto& [a, b] : PeersOf(desired)) {
    for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
      if (from->remote_forwards.empty()) continue;
      peers.elements.push_back(Quoted(from->name) + " . " + to->prefix.ToString());
    }
  }
  const bool any = !answers.elements.empty();
  table.chains["prerouting"] = {kHook, any ? RulesOf(kAnswers) : std::vector<std::string>()};
  table.chains["own"] = {"", RulesOf(kOwn)};
  table.collections["answers"] = std::move(answers);
  table.collections["peers"] = std::move(peers);
  return table;
}

// With br_netfilter such frames, which are bridged, would be tracked too, and answers to them taken
// for those of this host.
void AddUntracked(const DesiredNetwork& desired, RuleTable* table) {
  RuleCollection forwarded{"set", "type ether_addr . ipv4_addr . inet_proto . inet_service", {}};
  for (const Bridge& bridge : desired.bridges) {
    for (const RemoteForward& forward : bridge.remote_forwards) {
      forwarded.elements.push_back(ToString(MacForNode(bridge.network(), forward.address)) + " . " +
                                   forward.address.ToString() + " . " +
                                   ProtocolText(forward.protocol) + " . " +
                                   std::to_string(forward.node_port));
    }
  }
  if (!forwarded.elements.empty()) {
    table->chains["prerouting"].rules.push_back(
        "iifname " + Quoted(NamePrefix(desired.instance, LinkKind::kTunnel) + "*") +
        " ether daddr . ip daddr . ip protocol . th dport @forwarded notrack");
  }
  table->collections["forwarded"] = std::move(forwarded);
}

}  // namespace strata::net
