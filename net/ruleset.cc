#include "net/ruleset.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include "net/guard_rules.h"
#include "net/remote_forwards.h"

namespace strata::net {
namespace {

// Of VXLAN, so that its VNI can be looked up: 24 bits behind the UDP header and the flags.
constexpr char kVni[] = "@th,96,24";

// OURS stands for all bridges of the instance, VETHS for all links of its nodes, POOL and SIX for
// all prefixes of IPv4 and IPv6, MARK for kForwardedMark. Bridges hand frames to some group
// addresses of IEEE 802.1D (LLDP, LACP) over to the host as their port's own, past the rules of
// family bridge (br_handle_frame, net/bridge/br_input.c). What is in them would be taken for the
// host.
constexpr char kLinks[] = R"(
  iifname VETHS counter name beside_bridge drop
)";
constexpr char kForward[] = R"(
  # Bridged frames come here too when br_netfilter is on.
  iifname . oifname @within accept
  # Frames that a node made up for tunnels of other hosts, which would take them for ours.
  iifname OURS udp dport @tunnel_ports counter name forged_frame drop
  iifname OURS iifname . ip saddr != @prefixes counter name spoofed_source drop
  iifname OURS iifname . ip6 saddr != @prefixes6 counter name spoofed_source drop
  iifname . oifname @peers accept
  ct status dnat oifname . ip daddr . meta l4proto . th dport @forwarded accept
  ct status dnat oifname . ip6 daddr . meta l4proto . th dport @forwarded6 accept
  # Connections of a forward that is gone.
  ct status dnat ct direction original meta l4proto { tcp, udp } oifname OURS
      counter name forward_gone drop
  ct status dnat ct state established,related iifname OURS oifname OURS accept
  iifname OURS oifname OURS counter name between_networks drop
  oifname OURS ct state established,related accept
  oifname OURS counter name from_outside drop
)";
// Packets of tunnels are of no connection: each of a node would be one of the host too, by its port
// of the tunnel, and the host has room for so many only. So would questions for names, each from
// another port.
constexpr char kUntrackedIn[] = R"(
  iifname != OURS udp dport @tunnel_ports notrack
  iifname . ip daddr . meta l4proto . th dport @name_servers notrack
)";
constexpr char kUntrackedOut[] = R"(
  udp dport @tunnel_ports notrack
  oifname . ip saddr . meta l4proto . th sport @name_servers notrack
)";
constexpr char kInput[] = R"(
  # A tunnel takes frames only from hosts that have nodes of its Vcluster, or of a peer; those,
  # which are most of what comes here, are done with first.
  iifname != OURS udp dport @tunnel_ports @th,96,24 . ip saddr @tunnel_hosts accept
  udp dport @tunnel_ports @th,96,24 @vnis counter name tunnel_stranger drop
  # Before answers, so that nobody speaks in connections of 127.0.0.0/8, which forwards let in.
  iifname OURS meta nfproto ipv4 iifname . ip saddr != @prefixes counter name spoofed_source drop
  iifname OURS ip6 saddr != { ::, fe80::/10 } iifname . ip6 saddr != @prefixes6
      counter name spoofed_source drop
  # What one node asks of its gateway's names keeps nobody else from asking.
  iifname . ip daddr . meta l4proto . th dport @name_servers update @asking_names
      { iifname . ip saddr limit rate over 2000/second burst 2000 packets }
      counter name names_flood drop
  iifname . ip daddr . meta l4proto . th dport @name_servers accept
  iifname OURS ct state established,related accept
  iifname OURS icmp type echo-request accept
  iifname OURS icmpv6 type { echo-request, nd-neighbor-solicit, nd-neighbor-advert } accept
  iifname OURS counter name to_host drop
)";

// What is sent to ::1, or comes from there, never leaves the host.
constexpr char kTranslate[] = R"(
  fib daddr type local dnat ip to meta l4proto . th dport map @forwards
  ip6 daddr != { ::1, fe80::/10 } fib daddr type local
      dnat ip6 to meta l4proto . th dport map @forwards6
  fib daddr type local meta l4proto . th dport vmap @balanced
)";
// POOL is left alone in the last rule: with br_netfilter on, another Strata's bridged frames come
// there too.
constexpr char kPostrouting[] = R"(
  ct status dnat ip saddr . ip daddr @hairpins masquerade
  ct status dnat ip6 saddr . ip6 daddr @hairpins6 masquerade
  ct status dnat ip daddr . meta l4proto . th dport @other_hosts masquerade
  ip saddr 127.0.0.0/8 oifname OURS masquerade
  ip saddr POOL ip daddr != POOL oifname != OURS masquerade
)";
constexpr char kPostrouting6[] = R"(
  ip6 saddr SIX ip6 daddr != SIX oifname != OURS masquerade
)";

// After translation, where the first packet of a connection has it too. nft knows the ports of one
// protocol at a time.
constexpr char kTranslated[] = R"(
  iifname OURS ct status dnat ct direction original meta mark set meta mark | MARK
  ct status dnat ct direction original meta l4proto tcp
      counter name ct original proto-dst map @counted.tcp.in
  ct status dnat ct direction original meta l4proto udp
      counter name ct original proto-dst map @counted.udp.in
  ct status dnat ct direction reply meta l4proto tcp
      counter name ct original proto-dst map @counted.tcp.out
  ct status dnat ct direction reply meta l4proto udp
      counter name ct original proto-dst map @counted.udp.out
)";

std::string Filled(std::string text, std::string_view word, const std::string& value) {
  for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + value.size())) {
    text.replace(at, word.size(), value);
  }
  return text;
}

class HostTable {
 public:
  explicit HostTable(const DesiredNetwork& desired) : desired_(desired) {
    table_.family = "inet";
    table_.name = TableName(desired.instance);
  }

  RuleTable Make() {
    if (desired_.bridges.empty()) return table_;
    table_.counters = {"beside_bridge",   "forged_frame",     "spoofed_source",
                       "forward_gone",    "between_networks", "from_outside",
                       "tunnel_stranger", "to_host",          "names_flood"};
    AddCollections();
    AddChains();
    for (const Bridge& bridge : desired_.bridges) AddBridge(bridge);
    for (const auto& [a, b] : PeersOf(desired_)) AddPeers(*a, *b);
    AddReturnRules(desired_, &table_);
    return table_;
  }

 private:
  void AddCollections() {
    const std::string vni = kVni;
    const std::string port = "inet_proto . inet_service";
    table_.collections = {
        {"within", {"set", "type ifname . ifname", {}}},
        {"peers", {"set", "type ifname . ifname", {}}},
        {"prefixes", {"set", "type ifname . ipv4_addr; flags interval", {}}},
        {"prefixes6", {"set", "type ifname . ipv6_addr; flags interval", {}}},
        {"forwards", {"map", "type " + port + " : ipv4_addr . inet_service", {}}},
        {"forwards6", {"map", "type " + port + " : ipv6_addr . inet_service", {}}},
        {"balanced", {"map", "type " + port + " : verdict", {}}},
        {"forwarded", {"set", "type ifname . ipv4_addr . " + port, {}}},
        {"forwarded6", {"set", "type ifname . ipv6_addr . " + port, {}}},
        {"other_hosts", {"set", "type ipv4_addr . " + port, {}}},
        {"hairpins", {"set", "type ipv4_addr . ipv4_addr; flags interval", {}}},
        {"hairpins6", {"set", "type ipv6_addr . ipv6_addr; flags interval", {}}},
        {"counted.tcp.in", {"map", "type inet_service : counter", {}}},
        {"counted.tcp.out", {"map", "type inet_service : counter", {}}},
        {"counted.udp.in", {"map", "type inet_service : counter", {}}},
        {"counted.udp.out", {"map", "type inet_service : counter", {}}},
        {"tunnel_ports", {"set", "type inet_service", {}}},
        {"vnis", {"set", "typeof " + vni, {}}},
        {"name_servers", {"set", "type ifname . ipv4_addr . " + port, {}}},
        {"asking_names",
         {"set", "type ifname . ipv4_addr; flags dynamic,timeout; timeout 1m; size 65536", {}}},
        {"tunnel_hosts", {"set", "typeof " + vni + " . ip saddr", {}}},
    };
  }

  void AddChains() {
    AddChain("untracked_in", "filter hook prerouting priority raw", kUntrackedIn);
    AddChain("untracked_out", "filter hook output priority raw", kUntrackedOut);
    AddChain("links", "filter hook prerouting priority raw", kLinks);
    AddChain("forward", "filter hook forward priority filter", kForward);
    AddChain("input", "filter hook input priority filter", kInput);
    AddChain("prerouting", "nat hook prerouting priority dstnat", kTranslate);
    // dstnat's number: a name that nft does not take there.
    AddChain("output", "nat hook output priority -100", kTranslate);
    AddChain("postrouting", "nat hook postrouting priority srcnat",
             std::string(kPostrouting) + (desired_.pool6 ? kPostrouting6 : ""));
    AddChain("translated", "filter hook prerouting priority -90", kTranslated);
    AddChain("translated_own", "filter hook output priority -90", kTranslated);
  }

  void AddChain(const std::string& name, const std::string& hook, std::string text) {
    for (const auto& [word, value] :
         {std::pair("OURS", Quoted(NamePrefix(desired_.instance, LinkKind::kBridge) + "*")),
          std::pair("VETHS", Quoted(NamePrefix(desired_.instance, LinkKind::kVeth) + "*")),
          std::pair("POOL", desired_.pool.ToString()),
          std::pair("SIX", desired_.pool6 ? desired_.pool6->ToString() : ""),
          std::pair("MARK", std::string(kForwardedMark))}) {
      text = Filled(std::move(text), word, value);
    }
    table_.chains[name] = {"type " + hook + "; policy accept;", RulesOf(text)};
  }

  void Add(const std::string& collection, std::string element) {
    table_.collections.at(collection).elements.push_back(std::move(element));
  }

  void AddBridge(const Bridge& bridge) {
    const std::string name = Quoted(bridge.name);
    const std::string prefix = bridge.prefix.ToString();
    Add("within", name + " . " + name);
    Add("prefixes", name + " . " + prefix);
    if (bridge.has_forwards()) Add("hairpins", prefix + " . " + prefix);
    for (const Forward& forward : bridge.forwards) {
      const std::string port = AddPort(forward.protocol, forward.host_port);
      if (!forward.ending) {
        Add("forwards",
            port + " : " + forward.address.ToString() + " . " + std::to_string(forward.node_port));
      }
      AddTarget(bridge, forward.protocol, forward.address, forward.node_port);
    }
    for (const BalancedForward& balanced : bridge.balanced) AddBalanced(bridge, balanced);
    if (bridge.has_ipv6()) AddBridge6(bridge);
    if (bridge.serves_names) {
      for (const char* protocol : {"tcp", "udp"}) {
        Add("name_servers",
            name + " . " + bridge.gateway().ToString() + " . " + protocol + " . 53");
      }
    }
    if (!bridge.overlay) return;
    AddTunnel(*bridge.overlay);
    for (const Ipv4 host : ForwardingHosts(bridge)) AddTunnelHost(bridge.overlay->vni, host);
  }

  void AddBridge6(const Bridge& bridge) {
    const std::string prefix = bridge.prefix6->ToString();
    Add("prefixes6", Quoted(bridge.name) + " . " + prefix);
    if (bridge.has_forwards()) Add("hairpins6", prefix + " . " + prefix);
    for (const Forward& forward : bridge.forwards) {
      const std::string protocol(ProtocolName(forward.protocol));
      const std::string address = bridge.Address6Of(forward.address).ToString();
      const std::string port = std::to_string(forward.node_port);
      Add("forwards6",
          protocol + " . " + std::to_string(forward.host_port) + " : " + address + " . " + port);
      Add("forwarded6", Quoted(bridge.name) + " . " + address + " . " + protocol + " . " + port);
    }
  }

  // A port of the host that leads somewhere, as an element.
  std::string AddPort(Protocol protocol, uint16_t host_port) {
    const std::string name(ProtocolName(protocol));
    const std::string number = std::to_string(host_port);
    for (const char* direction : {".in", ".out"}) {
      const std::string counter = "forward." + name + "." + number + direction;
      table_.counters.push_back(counter);
      Add("counted." + name + direction, number + " : " + Quoted(counter));
    }
    return name + " . " + number;
  }

  void AddTarget(const Bridge& bridge, Protocol protocol, Ipv4 address, uint16_t port) {
    const std::string target = address.ToString() + " . " + std::string(ProtocolName(protocol)) +
                               " . " + std::to_string(port);
    if (bridge.prefix.Contains(address)) {
      Add("forwarded", Quoted(bridge.name) + " . " + target);
    } else {
      Add("other_hosts", target);
    }
  }

  // What is connected already stays at a target that is down.
  void AddBalanced(const Bridge& bridge, const BalancedForward& balanced) {
    const std::string protocol(ProtocolName(balanced.protocol));
    const std::string chain = "balance." + protocol + "." + std::to_string(balanced.host_port);
    const bool none_up = std::none_of(balanced.targets.begin(), balanced.targets.end(),
                                      [](const Target& target) { return target.up; });
    std::string targets;
    size_t count = 0;
    for (const Target& target : balanced.targets) {
      AddTarget(bridge, balanced.protocol, target.address, target.port);
      if (!target.up && !none_up) continue;
      targets += (count == 0 ? " " : ", ") + std::to_string(count) + " : " +
                 target.address.ToString() + " . " + std::to_string(target.port);
      ++count;
    }
    const std::string by = balanced.sticky ? "jhash ip saddr mod " : "numgen inc mod ";
    table_.chains[chain] = {"",
                            {"meta l4proto " + protocol + " dnat ip to " + by +
                             std::to_string(count) + " map {" + targets + " }"}};
    Add("balanced", AddPort(balanced.protocol, balanced.host_port) + " : goto " + chain);
  }

  void AddTunnel(const Overlay& overlay) {
    Add("tunnel_ports", std::to_string(overlay.port));
    Add("vnis", std::to_string(overlay.vni));
    AddTunnelHosts(overlay.vni, overlay);
  }

  void AddTunnelHosts(uint32_t vni, const Overlay& of) {
    std::set<Ipv4> hosts;
    for (const RemoteNode& remote : of.remotes) hosts.insert(remote.host);
    for (const Ipv4 host : hosts) AddTunnelHost(vni, host);
  }
  void AddTunnelHost(uint32_t vni, Ipv4 host) {
    Add("tunnel_hosts", std::to_string(vni) + " . " + host.ToString());
  }

  // Frames of one come from hosts that have nodes of the other only.
  void AddPeers(const Bridge& a, const Bridge& b) {
    Add("peers", Quoted(a.name) + " . " + Quoted(b.name));
    Add("peers", Quoted(b.name) + " . " + Quoted(a.name));
    if (!a.overlay || !b.overlay) return;
    AddTunnelHosts(a.overlay->vni, *b.overlay);
    AddTunnelHosts(b.overlay->vni, *a.overlay);
  }

  const DesiredNetwork& desired_;
  RuleTable table_;
};

// A link that is no port of a bridge of the kernel (before it is one; a port of Open vSwitch in
// user space) is a link of the host as any other, which answers ARP for all addresses of the host.
RuleTable MakeArpTable(const DesiredNetwork& desired) {
  RuleTable table;
  table.family = "arp";
  table.name = TableName(desired.instance);
  if (desired.bridges.empty()) return table;
  const std::string veths = Quoted(NamePrefix(desired.instance, LinkKind::kVeth) + "*");
  table.chains["input"] = {"type filter hook input priority filter; policy accept;",
                           {"iifname " + veths + " drop"}};
  return table;
}

}  // namespace

Ruleset MakeRuleset(const DesiredNetwork& desired) {
  Ruleset ruleset;
  ruleset.tables.push_back(HostTable(desired).Make());
  ruleset.tables.push_back(MakeGuardTable(desired));
  ruleset.tables.push_back(MakeArpTable(desired));
  ruleset.tables.push_back(MakeAnswerTable(desired));
  Normalize(&ruleset);
  return ruleset;
}

}  // namespace strata::net
