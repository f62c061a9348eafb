#include "net/fastpath/fast_plan.h"

#include <arpa/inet.h>

#include <algorithm>
#include <iterator>
#include <unordered_map>

namespace strata::net {
namespace {

using LinksByName = std::unordered_map<std::string, const ObservedLink*>;

// Null when it is not there, or takes no part in what `bridge` joins.
const ObservedLink* FindPort(const LinksByName& links, const std::string& name,
                             const Bridge& bridge) {
  const auto found = links.find(name);
  if (found == links.end()) return nullptr;
  const ObservedLink* const link = found->second;
  return link->up && link->master == bridge.name ? link : nullptr;
}

bool IsFull(const FastState& state) {
  return state.sources.size() >= kFastSourcesMax || state.ways.size() >= kFastWaysMax;
}

void AddNode(const Bridge& bridge, const Veth& veth, const ObservedLink& link, FastState* state) {
  if (IsFull(*state)) return;
  const Ipv4 address = bridge.prefix.Host(kFirstNodeHost + veth.index);
  const Mac mac = MacForNode(bridge.overlay ? bridge.overlay->vni : bridge.number, address);
  const auto index = static_cast<uint32_t>(link.index);
  FastSource source = {.network = bridge.number, .address = htonl(address.value)};
  std::copy(mac.begin(), mac.end(), source.mac);
  state->sources.emplace(index, source);
  state->ways.emplace(FastNodeOf(bridge, mac), FastWay{.link = index});
}

// As it stands in the header of VXLAN.
uint32_t VniInHeader(uint32_t vni) { return htonl(vni << 8); }

FastWay TunnelTo(const Overlay& overlay, Ipv4 host, uint32_t link, bool wraps) {
  FastWay way = {.link = link, .is_tunnel = 1};
  if (!wraps) return way;
  way.host = htonl(host.value);
  way.local = htonl(overlay.local.value);
  way.vni = VniInHeader(overlay.vni);
  way.port = htons(overlay.port);
  return way;
}

void AddSender(const Bridge& bridge, Ipv4 host, FastState* state) {
  const Overlay& overlay = *bridge.overlay;
  if (state->senders.size() >= kFastSendersMax) return;
  state->senders.emplace(FastSender{.host = htonl(host.value),
                                    .local = htonl(overlay.local.value),
                                    .vni = VniInHeader(overlay.vni),
                                    .port = htons(overlay.port),
                                    .padding = 0},
                         bridge.number);
}

void AddRemotes(const Bridge& bridge, const ObservedLink& tunnel, bool wraps, FastState* state) {
  if (IsFull(*state)) return;
  const auto index = static_cast<uint32_t>(tunnel.index);
  state->sources.emplace(index, FastSource{.network = bridge.number, .is_tunnel = 1});
  for (const RemoteNode& remote : bridge.overlay->remotes) {
    const auto known = tunnel.remotes.find(remote.mac);
    const bool reached = known != tunnel.remotes.end() && known->second.on_tunnel &&
                         known->second.host == remote.host;
    const FastNode node = FastNodeOf(bridge, remote.mac);
    // A node that is still elsewhere is there for the bridge too, whoever has its MAC here.
    state->ways.erase(node);
    if (!reached || IsFull(*state)) continue;
    state->ways.emplace(node, TunnelTo(*bridge.overlay, remote.host, index, wraps));
    if (wraps) AddSender(bridge, remote.host, state);
  }
}

bool IsLimited(const Veth& veth, const ObservedLink& link) {
  return veth.bits_per_s_max != 0 || link.sends_bits_per_s_max != 0 || link.has_ingress;
}

// Where the addresses are that tunnels are from.
void AddUnderlays(const DesiredNetwork& desired, const std::vector<ObservedLink>& observed,
                  FastState* state) {
  std::set<Ipv4> locals;
  for (const Bridge& bridge : desired.bridges) {
    if (bridge.overlay) locals.insert(bridge.overlay->local);
  }
  for (const ObservedLink& link : observed) {
    if (!link.up || !link.is_ethernet) continue;
    const bool has_one = std::any_of(link.addresses.begin(), link.addresses.end(),
                                     [&](const auto& one) { return locals.contains(one.base); });
    if (has_one) state->underlays.insert(static_cast<uint32_t>(link.index));
  }
}

// What `wanted` has and `now` has not, or otherwise.
template <typename Key, typename Value>
std::vector<std::pair<Key, Value>> News(const std::map<Key, Value>& now,
                                        const std::map<Key, Value>& wanted) {
  std::vector<std::pair<Key, Value>> news;
  for (const auto& [key, value] : wanted) {
    const auto found = now.find(key);
    if (found == now.end() || !(found->second == value)) news.emplace_back(key, value);
  }
  return news;
}

template <typename Key, typename Value>
std::vector<Key> Gone(const std::map<Key, Value>& now, const std::map<Key, Value>& wanted) {
  std::vector<Key> gone;
  for (const auto& [key, value] : now) {
    if (!wanted.contains(key)) gone.push_back(key);
  }
  return gone;
}

}  // namespace

FastNode FastNodeOf(const Bridge& bridge, const Mac& mac) {
  FastNode node = {.network = bridge.number};
  std::copy(mac.begin(), mac.end(), node.mac);
  return node;
}

std::set<std::string> KeptOffTheFastPath(const DesiredNetwork& desired) {
  std::set<uint32_t> with_groups;
  for (const Bridge& bridge : desired.bridges) {
    if (!bridge.group_rules.empty()) with_groups.insert(bridge.number);
  }
  std::set<std::string> kept_off;
  for (const Veth& veth : desired.veths) {
    if (veth.user != 0 || with_groups.contains(veth.network)) kept_off.insert(veth.name);
  }
  return kept_off;
}

FastState MakeFastState(const DesiredNetwork& desired, const std::vector<ObservedLink>& observed,
                        const FastChoices& choices) {
  LinksByName links;
  for (const ObservedLink& link : observed) links.emplace(link.name, &link);
  std::map<uint32_t, const Bridge*> bridges;
  for (const Bridge& bridge : desired.bridges) bridges.emplace(bridge.number, &bridge);
  FastState state;
  for (const Veth& veth : desired.veths) {
    const auto bridge = bridges.find(veth.network);
    if (bridge == bridges.end() || veth.index >= kNodesMaxPerCluster) continue;
    const ObservedLink* const link = FindPort(links, veth.name, *bridge->second);
    if (link == nullptr || IsLimited(veth, *link) || choices.kept_off.contains(veth.name)) continue;
    AddNode(*bridge->second, veth, *link, &state);
  }
  for (const Bridge& bridge : desired.bridges) {
    if (!bridge.overlay) continue;
    const ObservedLink* const tunnel = FindPort(links, bridge.tunnel(), bridge);
    const bool is_its_own =
        tunnel != nullptr && tunnel->tunnel && tunnel->tunnel->vni == bridge.overlay->vni;
    if (is_its_own) AddRemotes(bridge, *tunnel, choices.wraps, &state);
  }
  if (choices.wraps) AddUnderlays(desired, observed, &state);
  return state;
}

FastPlan MakeFastPlan(const FastState& now, const FastState& wanted) {
  FastPlan plan = {.remove_underlays = {},
                   .remove_sources = Gone(now.sources, wanted.sources),
                   .remove_senders = Gone(now.senders, wanted.senders),
                   .remove_ways = Gone(now.ways, wanted.ways),
                   .set_ways = News(now.ways, wanted.ways),
                   .set_senders = News(now.senders, wanted.senders),
                   .set_sources = News(now.sources, wanted.sources),
                   .add_underlays = {}};
  std::ranges::set_difference(now.underlays, wanted.underlays,
                              std::back_inserter(plan.remove_underlays));
  std::ranges::set_difference(wanted.underlays, now.underlays,
                              std::back_inserter(plan.add_underlays));
  return plan;
}

}  // namespace strata::net
