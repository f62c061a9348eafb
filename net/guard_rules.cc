#include "net/guard_rules.h"

namespace strata::net {
namespace {

// Of a neighbour advertisement: 16 bytes behind the first 8 of ICMPv6 (RFC 4861, 4.4). nft 1.0.6
// has no name for it.
constexpr char kAdvertised[] = "@th,64,128";

// Nearly all is of the first kind, for which two sets are asked. What is refused is told apart by
// its counter.
constexpr char kFromNode[] = R"(
  ether type ip iifname . ether saddr . ip saddr @sources ether daddr @known_macs goto from_ip
  iifname != @nodes counter name unknown_link drop
  ether type { 8021q, 8021ad } counter name vlan_tag drop
  iifname . ether saddr != @macs counter name spoofed_mac drop
  ether daddr & 01:00:00:00:00:00 != 00:00:00:00:00:00 update @to_many
      { iifname limit rate over 200/second burst 400 packets } counter name flood drop
  ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 ether daddr != @known_macs
      counter name to_nobody drop
  ether type vmap { ip : goto from_any_ip, arp : goto from_arp, ip6 : goto from_ip6 }
  counter name other_protocol drop
)";

// Address probes (RFC 5227) have no sender's address yet.
constexpr char kFromArp[] = R"(
  arp htype != 1 counter name spoofed_arp drop
  arp ptype != ip counter name spoofed_arp drop
  arp hlen != 6 counter name spoofed_arp drop
  arp plen != 4 counter name spoofed_arp drop
  iifname . arp saddr ether != @macs counter name spoofed_arp drop
  arp saddr ip 0.0.0.0 arp operation != request counter name spoofed_arp drop
  arp saddr ip != 0.0.0.0 iifname . arp saddr ether . arp saddr ip != @sources
      counter name spoofed_arp drop
  arp operation != { request, reply } counter name other_protocol drop
  arp operation request update @asking { iifname limit rate over 200/second burst 400 packets }
      counter name flood drop
  arp operation request arp daddr ip != @addresses update @scanning
      { iifname limit rate over 10/second burst 50 packets } counter name arp_scan drop
)";

constexpr char kFromAnyIp[] = R"(
  iifname . ether saddr . ip saddr != @sources counter name spoofed_ip drop
  goto from_ip
)";

constexpr char kFromIp[] = R"(
  udp sport 67 counter name dhcp_server drop
)";

// Addresses are looked for and reported from "::" while they are being tried (RFC 4862, RFC 3590).
constexpr char kFromIp6[] = R"(
  icmpv6 type { nd-router-advert, nd-redirect } counter name router_advert drop
  ip6 saddr :: icmpv6 type
      { nd-neighbor-solicit, nd-router-solicit, mld-listener-report, mld2-listener-report } accept
  iifname . ether saddr . ip6 saddr != @sources6 counter name spoofed_ip drop
  udp sport 547 counter name dhcp_server drop
  icmpv6 type nd-neighbor-advert iifname . @th,64,128 != @advertised counter name spoofed_arp drop
)";

RuleChain Base(const std::string& hook, const std::string& rule) {
  return {"type filter hook " + hook + " priority -250; policy accept;", {rule}};
}

// A meter per link, which forgets links that are quiet.
RuleCollection Meter() {
  return {"set", "type ifname; flags dynamic,timeout; timeout 1m; size 65536", {}};
}

// Who may send what, by link.
class Senders {
 public:
  void Add(const Bridge& bridge, const Veth& veth) {
    const std::string name = Quoted(veth.name);
    const Ipv4 address = AddressOf(bridge, veth);
    const Mac mac = MacForNode(bridge.network(), address);
    const std::string mac_text = ToString(mac);
    const std::string as = name + " . " + mac_text;
    nodes_.push_back(name);
    macs_.push_back(as);
    // Its addresses: of each family as many as it has.
    sources_.push_back(as + " . " + address.ToString());
    Add6(name, as, IpAddress::LinkLocal(mac));
    if (bridge.has_ipv6()) Add6(name, as, bridge.Address6Of(address));
    AddKnown(mac_text, address);
  }
  // Whom a node may look for and send to.
  void AddKnown(const std::string& mac, Ipv4 address) {
    known_macs_.push_back(mac);
    addresses_.push_back(address.ToString());
  }

  void MoveInto(RuleTable* table) {
    const auto add = [&](const char* name, const std::string& type,
                         std::vector<std::string>* from) {
      table->collections[name] = {"set", type, std::move(*from)};
    };
    add("nodes", "type ifname", &nodes_);
    add("macs", "type ifname . ether_addr", &macs_);
    add("known_macs", "type ether_addr", &known_macs_);
    add("sources", "type ifname . ether_addr . ipv4_addr", &sources_);
    add("sources6", "type ifname . ether_addr . ipv6_addr", &sources6_);
    add("advertised", std::string("typeof iifname . ") + kAdvertised, &advertised_);
    add("addresses", "type ipv4_addr", &addresses_);
  }

 private:
  void Add6(const std::string& name, const std::string& as, const IpAddress& address) {
    sources6_.push_back(as + " . " + address.ToString());
    advertised_.push_back(name + " . 0x" + address.Hex());
  }
  std::vector<std::string> nodes_, macs_, known_macs_, sources_, sources6_, advertised_, addresses_;
};

}  // namespace

std::string Quoted(std::string_view name) { return "\"" + std::string(name) + "\""; }

std::map<uint32_t, const Bridge*> BridgesByNumber(const DesiredNetwork& desired) {
  std::map<uint32_t, const Bridge*> bridges;
  for (const Bridge& bridge : desired.bridges) bridges.emplace(bridge.number, &bridge);
  return bridges;
}

Ipv4 AddressOf(const Bridge& bridge, const Veth& veth) {
  return bridge.prefix.Host(kFirstNodeHost + veth.index);
}

RuleTable MakeGuardTable(const DesiredNetwork& desired) {
  RuleTable table{"bridge", TableName(desired.instance), {}, {}, {}, {}};
  if (desired.bridges.empty()) return table;
  const std::string veths = Quoted(NamePrefix(desired.instance, LinkKind::kVeth) + "*");
  table.counters = {"unknown_link", "vlan_tag",      "spoofed_mac", "spoofed_arp",
                    "spoofed_ip",   "to_nobody",     "flood",       "arp_scan",
                    "dhcp_server",  "router_advert", "user_rate",   "other_protocol"};
  Senders senders;
  const auto bridges = BridgesByNumber(desired);
  for (const Veth& veth : desired.veths) {
    const auto bridge = bridges.find(veth.network);
    if (bridge != bridges.end()) senders.Add(*bridge->second, veth);
  }
  for (const Bridge& bridge : desired.bridges) {
    senders.AddKnown(ToString(bridge.mac()), bridge.gateway());
    if (!bridge.overlay) continue;
    for (const RemoteNode& remote : bridge.overlay->remotes) {
      senders.AddKnown(ToString(remote.mac), remote.address);
    }
  }
  senders.MoveInto(&table);
  for (const char* meter : {"to_many", "asking", "scanning"}) table.collections[meter] = Meter();
  table.chains = {
      // Before br_netfilter (0), which may hand a frame over to the rules of inet.
      {"prerouting", Base("prerouting", "iifname " + veths + " jump from_node")},
      // What is bridged, and what the host itself sends.
      {"postrouting", Base("postrouting", "oifname " + veths + " jump to_node")},
      {"to_node", {}},
      {"from_node", {"", RulesOf(kFromNode)}},
      {"from_arp", {"", RulesOf(kFromArp)}},
      {"from_any_ip", {"", RulesOf(kFromAnyIp)}},
      {"from_ip", {"", RulesOf(kFromIp)}},
      {"from_ip6", {"", RulesOf(kFromIp6)}},
  };
  AddUntracked(desired, &table);
  AddUserLimits(desired, &table);
  AddGroupRules(desired, &table);
  if (table.chains["to_node"].rules.empty()) table.chains["postrouting"].rules.clear();
  return table;
}

}  // namespace strata::net
