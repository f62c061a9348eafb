#include <set>

#include "net/guard_rules.h"

namespace strata::net {
namespace {

// What passes to a closed node without a rule: neighbours, answers, and later fragments, which are
// nothing without their first. Without connections to look up, a TCP segment is an answer unless it
// opens one; of UDP and ping, what the node has sent is kept for a while.
constexpr char kAnswers[] = R"(
  tcp flags & (syn | ack) != syn accept
  ether type arp accept
  icmpv6 type
      { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert, mld-listener-query } accept
  ip frag-off & 0x1fff != 0 accept
  icmp type { destination-unreachable, time-exceeded, parameter-problem } accept
  icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept
  ip daddr . ip saddr . udp dport . udp sport @flows accept
  icmp type echo-reply ip daddr . ip saddr . icmp id @pings accept
)";

// Of what a closed node sends. A node gets no more than its part of the room for flows.
constexpr char kRemember[] = R"(
  ip saddr . ip daddr . udp sport . udp dport @flows update @flows
      { ip saddr . ip daddr . udp sport . udp dport } accept
  meta l4proto { udp, icmp } update @new_flows
      { iifname limit rate over 100/second burst 1000 packets } counter name flows_full accept
  meta l4proto udp update @flows { ip saddr . ip daddr . udp sport . udp dport }
  icmp type echo-request update @pings { ip saddr . ip daddr . icmp id }
)";

std::string Ports(const GroupRule& rule) {
  if (rule.port_first == 0) return "";
  return std::to_string(rule.port_first) +
         (rule.port_last == rule.port_first ? "" : "-" + std::to_string(rule.port_last)) + " ";
}

std::string What(const GroupRule& rule) {
  const std::string ports = Ports(rule);
  switch (rule.kind) {
    case GroupRule::Kind::kAll:
      return "";
    case GroupRule::Kind::kTcp:
      return ports.empty() ? "meta l4proto tcp " : "tcp dport " + ports;
    case GroupRule::Kind::kUdp:
      return ports.empty() ? "meta l4proto udp " : "udp dport " + ports;
    case GroupRule::Kind::kIcmp:
      return "meta l4proto icmp ";
  }
  return "";
}

class Groups {
 public:
  Groups(const Bridge& bridge, RuleTable* table) : bridge_(bridge), table_(*table) {}

  void Add() {
    for (const GroupRule& rule : bridge_.group_rules) AddRule(rule);
    for (const auto& [group, rules] : rules_) {
      RuleChain& chain = table_.chains[Name("group", group)];
      chain.rules = rules;
      const std::string name = Name("group", group);
      chain.rules.push_back("counter name " + name + " drop");
      table_.counters.push_back(name);
    }
  }
  bool IsClosed(uint32_t group) const { return rules_.contains(group); }

  // A node wherever it is.
  void AddMember(uint32_t group, Ipv4 address) {
    const auto members = table_.collections.find(Name("members", group));
    if (members != table_.collections.end()) {
      members->second.elements.push_back(address.ToString());
    }
  }
  // A node of this host.
  void AddNode(const Veth& veth) {
    AddMember(veth.group, AddressOf(bridge_, veth));
    if (!IsClosed(veth.group)) return;
    const std::string name = Quoted(veth.name);
    table_.collections["closed"].elements.push_back(name);
    table_.collections["groups"].elements.push_back(name + " : goto " + Name("group", veth.group));
  }

 private:
  std::string Name(const std::string& kind, uint32_t group) const {
    return kind + "." + std::to_string(bridge_.number) + "." + std::to_string(group);
  }

  // The host's routing sends with the gateway's MAC, which no node can have. With br_netfilter on,
  // what a node sends to a forward keeps the node's MAC, but has the gateway's address.
  void AddRule(const GroupRule& rule) {
    const std::string mac = ToString(bridge_.mac()) + " ";
    std::vector<std::string>& rules = rules_[rule.to_group];
    if (rules.empty()) rules.push_back("jump answers");
    const auto add = [&](const std::string& from) {
      rules.push_back(from + What(rule) + "accept");
    };
    switch (rule.from) {
      case GroupRule::From::kAny:
        add("");
        break;
      case GroupRule::From::kOutside:
        add("ether saddr " + mac);
        add(std::string("meta mark & ") + kForwardedMark + " != 0 ");
        break;
      case GroupRule::From::kGroup: {
        const std::string members = Name("members", rule.from_group);
        table_.collections[members] = {"set", "type ipv4_addr", {}};
        add("ether saddr != " + mac + "ip saddr @" + members + " ");
        break;
      }
    }
  }

  const Bridge& bridge_;
  RuleTable& table_;
  std::map<uint32_t, std::vector<std::string>> rules_;  // By the group they lead to.
};

}  // namespace

void AddGroupRules(const DesiredNetwork& desired, RuleTable* table) {
  const std::string dynamic = "; flags dynamic,timeout; ";
  table->counters.push_back("flows_full");
  table->collections["closed"] = {"set", "type ifname", {}};
  table->collections["groups"] = {"map", "type ifname : verdict", {}};
  table->collections["flows"] = {"set",
                                 "type ipv4_addr . ipv4_addr . inet_service . inet_service" +
                                     dynamic + "timeout 3m; size 1000000",
                                 {}};
  table->collections["pings"] = {
      "set", "typeof ip saddr . ip daddr . icmp id" + dynamic + "timeout 1m; size 1000000", {}};
  table->collections["new_flows"] = {"set", "type ifname" + dynamic + "timeout 1m; size 65536", {}};
  table->chains["answers"] = {"", RulesOf(kAnswers)};
  table->chains["remember"] = {"", RulesOf(kRemember)};
  std::map<uint32_t, Groups> groups;
  for (const Bridge& bridge : desired.bridges) {
    if (bridge.group_rules.empty()) continue;
    Groups& one = groups.emplace(bridge.number, Groups(bridge, table)).first->second;
    one.Add();
    if (!bridge.overlay) continue;
    for (const RemoteNode& remote : bridge.overlay->remotes) {
      one.AddMember(remote.group, remote.address);
    }
  }
  if (groups.empty()) return;
  table->chains["from_ip"].rules.push_back("iifname @closed goto remember");
  table->chains["to_node"].rules.push_back("oifname vmap @groups");
  for (const Veth& veth : desired.veths) {
    const auto one = groups.find(veth.network);
    if (one != groups.end()) one->second.AddNode(veth);
  }
}

}  // namespace strata::net
