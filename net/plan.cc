#include "net/plan.h"

#include <algorithm>
#include <cstdio>

#include "common/digest.h"

namespace strata::net {
namespace {

std::string Base36(uint32_t number) {
  std::string text;
  do {
    text.insert(text.begin(), "0123456789abcdefghijklmnopqrstuvwxyz"[number % 36]);
    number /= 36;
  } while (number > 0);
  return text;
}

std::string BridgePrefix(std::string_view instance) { return "s" + std::string(instance) + "b"; }
std::string VethPrefix(std::string_view instance) { return "s" + std::string(instance) + "v"; }

const ObservedLink* Find(const std::vector<ObservedLink>& links, const std::string& name) {
  const auto found = std::find_if(links.begin(), links.end(),
                                  [&](const ObservedLink& link) { return link.name == name; });
  return found == links.end() ? nullptr : &*found;
}

bool HasAddress(const ObservedLink& link, Ipv4 address) {
  return std::any_of(link.addresses.begin(), link.addresses.end(),
                     [&](const Ipv4Prefix& prefix) { return prefix.base == address; });
}

}  // namespace

std::string BridgeName(std::string_view instance, uint32_t cluster) {
  return BridgePrefix(instance) + Base36(cluster);
}

std::string VethName(std::string_view instance, uint32_t cluster, uint32_t node) {
  return VethPrefix(instance) + Base36(cluster * 256 + node);
}

std::string TableName(std::string_view instance) { return kTablePrefix + std::string(instance); }

Mac MacFor(std::string_view seed) {
  const Digest digest = Hasher::Of(seed);
  Mac mac;
  std::copy_n(digest.bytes().begin(), mac.size(), mac.begin());
  mac[0] = static_cast<uint8_t>((mac[0] & 0xfc) | 0x02);
  return mac;
}

std::string ToString(const Mac& mac) {
  char text[18];
  std::snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
                mac[4], mac[5]);
  return text;
}

NetworkPlan MakePlan(const DesiredNetwork& desired, const std::vector<ObservedLink>& observed,
                     bool delete_veths) {
  NetworkPlan plan;
  for (const ObservedLink& link : observed) {
    const bool is_bridge = link.name.starts_with(BridgePrefix(desired.instance));
    const bool is_veth = link.name.starts_with(VethPrefix(desired.instance));
    const bool wanted =
        is_bridge ? std::any_of(desired.bridges.begin(), desired.bridges.end(),
                                [&](const Bridge& bridge) { return bridge.name == link.name; })
                  : std::find(desired.veths.begin(), desired.veths.end(), link.name) !=
                        desired.veths.end();
    if ((is_bridge || (is_veth && delete_veths)) && !wanted) plan.delete_links.push_back(link.name);
  }
  for (const Bridge& bridge : desired.bridges) {
    const ObservedLink* link = Find(observed, bridge.name);
    if (link == nullptr) {
      plan.create_bridges.push_back(bridge);
      continue;
    }
    if (!HasAddress(*link, bridge.gateway())) plan.address_bridges.push_back(bridge);
    if (!link->up) plan.raise_bridges.push_back(bridge);
  }
  plan.ruleset = MakeRuleset(desired);
  return plan;
}

std::string MakeRuleset(const DesiredNetwork& desired) {
  const std::string table = "table inet " + TableName(desired.instance);
  // Declared first: deleting a table that is not there would fail the transaction.
  std::string text = table + "\ndelete " + table + "\n";
  if (desired.bridges.empty()) return text;
  const std::string ours = "\"" + BridgePrefix(desired.instance) + "*\"";
  std::string within;
  std::string anti_spoof;
  for (const Bridge& bridge : desired.bridges) {
    const std::string name = "\"" + bridge.name + "\"";
    within += (within.empty() ? "" : ", ") + name + " . " + name;
    anti_spoof += "    " + name + " : jump " + bridge.name + ",\n";
    text += table + " {\n  chain " + bridge.name +
            " {\n    ip saddr != " + bridge.prefix.ToString() + " drop\n  }\n}\n";
  }
  text += table + " {\n  set within {\n    type ifname . ifname\n    elements = { " + within +
          " }\n  }\n  map sources {\n    type ifname : verdict\n    elements = {\n" + anti_spoof +
          "    }\n  }\n";
  text +=
      "  chain forward {\n"
      "    type filter hook forward priority filter; policy accept;\n"
      // Bridged frames come here too when br_netfilter is on.
      "    iifname . oifname @within accept\n"
      "    iifname " +
      ours + " oifname " + ours +
      " drop\n"
      "    oifname " +
      ours +
      " ct state established,related accept\n"
      "    oifname " +
      ours +
      " drop\n"
      "    iifname " +
      ours +
      " meta nfproto ipv6 drop\n"
      "    iifname vmap @sources\n"
      "  }\n"
      "  chain input {\n"
      "    type filter hook input priority filter; policy accept;\n"
      "    iifname " +
      ours +
      " ct state established,related accept\n"
      "    iifname " +
      ours +
      " icmp type echo-request accept\n"
      "    iifname " +
      ours +
      " drop\n"
      "  }\n"
      "  chain postrouting {\n"
      "    type nat hook postrouting priority srcnat; policy accept;\n"
      // The pool is left alone: with br_netfilter on, another Strata's bridged frames come here
      // too.
      "    ip saddr " +
      desired.pool.ToString() + " ip daddr != " + desired.pool.ToString() + " oifname != " + ours +
      " masquerade\n"
      "  }\n"
      "}\n";
  return text;
}

Result<Ipv4Prefix> ChoosePrefix(const Ipv4Prefix& pool, const std::vector<Ipv4Prefix>& taken,
                                const std::vector<ObservedLink>& observed) {
  const uint32_t count = pool.Count(kClusterPrefixLength);
  for (uint32_t n = count > 1 ? 1 : 0; n < count; ++n) {
    const Ipv4Prefix candidate = pool.Nth(kClusterPrefixLength, n);
    const auto overlaps = [&](const Ipv4Prefix& other) { return candidate.Overlaps(other); };
    if (std::any_of(taken.begin(), taken.end(), overlaps)) continue;
    if (std::any_of(observed.begin(), observed.end(), [&](const ObservedLink& link) {
          return std::any_of(link.addresses.begin(), link.addresses.end(), overlaps);
        })) {
      continue;
    }
    return candidate;
  }
  return Error(Code::kResourceExhausted, "no free /24 is left in " + pool.ToString() +
                                             ": delete a Vcluster, or start vclusterd with a "
                                             "larger --subnet-pool");
}

}  // namespace strata::net
