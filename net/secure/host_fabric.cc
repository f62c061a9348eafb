#include "net/secure/host_fabric.h"

#include <algorithm>
#include <map>

namespace strata::net {
namespace {

// The keys of this host that `desired` asks for, without the change of files that it takes.
bool IsPromotion(const DesiredFabric& desired, const HostKeys& keys) {
  if (!desired.use_key || !keys.next) return false;
  const auto next = keys.next->Public();
  return next.ok() && *next == *desired.use_key;
}

Result<HostKeys> KeysAsWanted(const DesiredFabric& desired, const std::string& state_dir) {
  ASSIGN_OR_RETURN(HostKeys keys, LoadOrMakeHostKeys(state_dir));
  if (IsPromotion(desired, keys)) {
    ASSIGN_OR_RETURN(keys, PromoteNextKey(state_dir));
  }
  ASSIGN_OR_RETURN(const PublicKey current, keys.current.Public());
  if (desired.follow_key == current && !keys.next) {
    ASSIGN_OR_RETURN(keys.next, PrepareNextKey(state_dir));
  }
  return keys;
}

FabricView::Peer ViewOf(const FabricSettings& self, const FabricMember& member,
                        const std::map<PublicKey, const ObservedPeer*>& observed) {
  FabricView::Peer view;
  view.host = member.host;
  view.address = member.address;
  view.endpoint = member.endpoint;
  view.unreachable = IsUnreachable(self, member);
  for (const std::optional<PublicKey>& key : {std::optional(member.key), member.next_key}) {
    const auto found = key ? observed.find(*key) : observed.end();
    if (found == observed.end()) continue;
    const ObservedPeer& there = *found->second;
    view.received_bytes += there.received_bytes;
    view.sent_bytes += there.sent_bytes;
    if (there.endpoint && there.last_handshake >= view.last_handshake) {
      view.endpoint = there.endpoint;
    }
    view.last_handshake = std::max(view.last_handshake, there.last_handshake);
  }
  return view;
}

}  // namespace

HostFabric::HostFabric(const Options& options)
    : options_(options), device_({options.instance, options.run_dir, options.choice}) {}

Result<SecureFabric> HostFabric::Wanted(const DesiredFabric& desired, const HostKeys& keys) const {
  return WithKey(desired, options_.instance,
                 IsPromotion(desired, keys) ? *keys.next : keys.current);
}

Result<std::vector<std::string>> HostFabric::Plan(const std::optional<DesiredFabric>& desired) {
  std::optional<SecureFabric> wanted;
  if (desired) {
    ASSIGN_OR_RETURN(const HostKeys keys, LoadOrMakeHostKeys(options_.state_dir));
    ASSIGN_OR_RETURN(wanted, Wanted(*desired, keys));
  }
  ASSIGN_OR_RETURN(const FabricPlan plan, device_.Plan(wanted));
  return DescribeChanges(plan);
}

Result<std::vector<std::string>> HostFabric::Make(const std::optional<DesiredFabric>& desired) {
  if (!desired) {
    if (has_ended_) return std::vector<std::string>();
    auto changes = device_.Make(std::nullopt);
    has_ended_ = changes.ok();
    return changes;
  }
  has_ended_ = false;
  is_sealed_ = false;
  ASSIGN_OR_RETURN(const HostKeys keys, KeysAsWanted(*desired, options_.state_dir));
  ASSIGN_OR_RETURN(const SecureFabric wanted, Wanted(*desired, keys));
  auto changes = device_.Make(wanted);
  is_sealed_ = device_.HasRulesOf(wanted);
  return changes;
}

Result<FabricView> HostFabric::Look(const std::optional<DesiredFabric>& desired) {
  FabricView view;
  ASSIGN_OR_RETURN(const HostKeys keys, LoadOrMakeHostKeys(options_.state_dir));
  ASSIGN_OR_RETURN(view.key, keys.current.Public());
  if (keys.next) {
    ASSIGN_OR_RETURN(view.next_key, keys.next->Public());
  }
  view.device = FabricName(options_.instance);
  if (!desired) return view;
  view.mtu = desired->mtu();
  std::optional<ObservedDevice> device;
  if (desired->kind == FabricKind::kEsp) {
    ASSIGN_OR_RETURN(view.session, device_.Session());
  } else if (!device_.driver().empty()) {
    view.driver = device_.driver();
    ASSIGN_OR_RETURN(device, device_.Look());
  }
  std::map<PublicKey, const ObservedPeer*> observed;
  if (device) {
    for (const ObservedPeer& peer : device->peers) observed.emplace(peer.key, &peer);
  }
  for (const FabricMember& member : desired->peers) {
    view.peers.push_back(ViewOf(*desired, member, observed));
  }
  return view;
}

}  // namespace strata::net
