#include "net/ruleset.h"

#include <set>
#include <string_view>

namespace strata::net {
namespace {

std::string Quoted(std::string_view name) { return "\"" + std::string(name) + "\""; }

// nft refuses "elements = { }".
std::string Elements(const std::string& elements) {
  return elements.empty() ? "" : "    elements = {\n" + elements + "    }\n";
}

std::string Element(const std::string& element) { return "      " + element + ",\n"; }

// "set NAME { type TYPE ... }", "map NAME ...".
std::string Collection(const std::string& head, const std::string& type,
                       const std::string& elements) {
  return "  " + head + " {\n    " + type + "\n" + Elements(elements) + "  }\n";
}

std::string BridgeChains(const DesiredNetwork& desired) {
  std::string text;
  for (const Bridge& bridge : desired.bridges) {
    text += "  chain " + bridge.name + " {\n    ip saddr != " + bridge.prefix.ToString() +
            " drop\n  }\n";
  }
  return text;
}

std::string BridgeCollections(const DesiredNetwork& desired) {
  std::string within;
  std::string sources;
  for (const Bridge& bridge : desired.bridges) {
    const std::string name = Quoted(bridge.name);
    within += Element(name + " . " + name);
    sources += Element(name + " : jump " + bridge.name);
  }
  return Collection("set within", "type ifname . ifname", within) +
         Collection("map sources", "type ifname : verdict", sources);
}

std::string ForwardCollections(const DesiredNetwork& desired) {
  std::string forwards;
  std::string forwarded;
  std::string hairpins;
  for (const Bridge& bridge : desired.bridges) {
    for (const Forward& forward : bridge.forwards) {
      const std::string protocol(ProtocolName(forward.protocol));
      const std::string address = forward.address.ToString();
      const std::string node_port = std::to_string(forward.node_port);
      forwards += Element(protocol + " . " + std::to_string(forward.host_port) + " : " + address +
                          " . " + node_port);
      // One node port may have several host ports: nft takes an element that is there twice.
      forwarded +=
          Element(Quoted(bridge.name) + " . " + address + " . " + protocol + " . " + node_port);
    }
    if (!bridge.forwards.empty()) {
      hairpins += Element(bridge.prefix.ToString() + " . " + bridge.prefix.ToString());
    }
  }
  return Collection("map forwards", "type inet_proto . inet_service : ipv4_addr . inet_service",
                    forwards) +
         Collection("set forwarded", "type ifname . ipv4_addr . inet_proto . inet_service",
                    forwarded) +
         Collection("set hairpins", "type ipv4_addr . ipv4_addr; flags interval", hairpins);
}

// Of VXLAN, so that its VNI can be looked up: 24 bits behind the UDP header and the flags.
constexpr char kVni[] = "@th,96,24";

std::string TunnelCollections(const DesiredNetwork& desired) {
  std::string ports;
  std::string vnis;
  std::string peers;
  for (const Bridge& bridge : desired.bridges) {
    if (!bridge.overlay) continue;
    const std::string vni = std::to_string(bridge.overlay->vni);
    ports += Element(std::to_string(bridge.overlay->port));
    vnis += Element(vni);
    std::set<Ipv4> hosts;
    for (const RemoteNode& remote : bridge.overlay->remotes) hosts.insert(remote.host);
    for (const Ipv4 host : hosts) peers += Element(vni + " . " + host.ToString());
  }
  return Collection("set tunnel_ports", "type inet_service", ports) +
         Collection("set vnis", std::string("typeof ") + kVni, vnis) +
         Collection("set peers", std::string("typeof ") + kVni + " . ip saddr", peers);
}

// OURS stands for all bridges of the instance, POOL for all prefixes.
constexpr char kFilterChains[] = R"(
  # Packets of tunnels are of no connection: each of a node would be one of the host too, by its
  # port of the tunnel, and the host has room for so many only.
  chain untracked_in {
    type filter hook prerouting priority raw; policy accept;
    iifname != OURS udp dport @tunnel_ports notrack
  }
  chain untracked_out {
    type filter hook output priority raw; policy accept;
    udp dport @tunnel_ports notrack
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    # Bridged frames come here too when br_netfilter is on.
    iifname . oifname @within accept
    # Frames that a node made up for tunnels of other hosts, which would take them for ours.
    iifname OURS udp dport @tunnel_ports drop
    iifname vmap @sources
    ct status dnat oifname . ip daddr . meta l4proto . th dport @forwarded accept
    # Connections of a forward that is gone.
    ct status dnat ct direction original meta l4proto { tcp, udp } oifname OURS drop
    ct status dnat ct state established,related iifname OURS oifname OURS accept
    iifname OURS oifname OURS drop
    oifname OURS ct state established,related accept
    oifname OURS drop
    iifname OURS meta nfproto ipv6 drop
  }
  chain input {
    type filter hook input priority filter; policy accept;
    # A tunnel takes frames only from hosts that have nodes of its Vcluster; those, which are most
    # of what comes here, are done with first.
    iifname != OURS udp dport @tunnel_ports @th,96,24 . ip saddr @peers accept
    udp dport @tunnel_ports @th,96,24 @vnis drop
    # Before answers, so that nobody speaks in connections of 127.0.0.0/8, which forwards let in.
    iifname vmap @sources
    iifname OURS ct state established,related accept
    iifname OURS icmp type echo-request accept
    iifname OURS drop
  }
)";

// The number of `output` is dstnat's, a name that nft does not take there. POOL is left alone in
// the last rule: with br_netfilter on, another Strata's bridged frames come there too.
constexpr char kNatChains[] = R"(
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local dnat ip to meta l4proto . th dport map @forwards
  }
  chain output {
    type nat hook output priority -100; policy accept;
    fib daddr type local dnat ip to meta l4proto . th dport map @forwards
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ct status dnat ip saddr . ip daddr @hairpins masquerade
    ip saddr 127.0.0.0/8 oifname OURS masquerade
    ip saddr POOL ip daddr != POOL oifname != OURS masquerade
  }
)";

std::string Filled(std::string text, std::string_view word, const std::string& value) {
  for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + value.size())) {
    text.replace(at, word.size(), value);
  }
  return text;
}

}  // namespace

std::string MakeRuleset(const DesiredNetwork& desired) {
  const std::string table = "table inet " + TableName(desired.instance);
  // Declared first: deleting a table that is not there would fail the transaction.
  std::string text = table + "\ndelete " + table + "\n";
  if (desired.bridges.empty()) return text;
  const std::string ours = Quoted(NamePrefix(desired.instance, LinkKind::kBridge) + "*");
  const std::string chains = Filled(Filled(std::string(kFilterChains) + kNatChains, "OURS", ours),
                                    "POOL", desired.pool.ToString());
  return text + table + " {\n" + BridgeChains(desired) + BridgeCollections(desired) +
         ForwardCollections(desired) + TunnelCollections(desired) + chains + "}\n";
}

}  // namespace strata::net
