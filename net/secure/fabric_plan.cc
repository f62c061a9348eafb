#include "net/secure/fabric_plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "net/secure/fabric_rules.h"

namespace strata::net {
namespace {

using PeersByKey = std::map<PublicKey, const ObservedPeer*>;

const ObservedPeer* Find(const PeersByKey& peers, const PublicKey& key) {
  const auto found = peers.find(key);
  return found == peers.end() ? nullptr : found->second;
}

Status CheckHost(const SecureFabric& fabric, const ObservedFabric& observed) {
  for (const ObservedLink& link : observed.links) {
    if (link.name == fabric.device()) continue;
    for (const Ipv4Prefix& own : link.addresses) {
      if (fabric.prefix.Overlaps(own)) {
        return Error(Code::kFailedPrecondition,
                     "fabric: " + link.name + " has " + own.base.ToString() + ", which is in " +
                         fabric.prefix.ToString() +
                         ": give all hosts a fabric prefix that nothing else uses");
      }
      for (const FabricPeer& peer : fabric.peers) {
        if (!peer.endpoint || peer.endpoint->ipv4() != own.base ||
            peer.endpoint->port != fabric.port) {
          continue;
        }
        return Error(Code::kFailedPrecondition,
                     "fabric: " + peer.host + " cannot be called at " + peer.endpoint->ToString() +
                         ": that is this host's " + link.name + "; give it its own address");
      }
    }
  }
  return Ok();
}

// What was heard from elsewhere is where a peer is: a NAT may have moved it. So its endpoint is
// told when there is another one to tell, and again when nothing has come of the one in use.
bool MustTellEndpoint(const FabricPeer& peer, const ObservedPeer* there,
                      std::chrono::nanoseconds now) {
  if (!peer.endpoint) return false;
  if (there == nullptr) return true;
  if (there->endpoint == peer.endpoint) return false;
  return there->told != peer.endpoint || now - there->last_handshake > kSessionMax;
}

void PlanPeer(const PeerSettings& wanted, const ObservedPeer* there, FabricPlan* plan) {
  const bool done = there != nullptr && !wanted.endpoint && there->allowed == wanted.allowed &&
                    !there->allows_ipv6 && there->keepalive_s == wanted.keepalive_s &&
                    there->preshared == wanted.preshared;
  if (!done) plan->change.set_peers.push_back(wanted);
}

// One address belongs to one key only. While a host changes its key, the others have both, and the
// address is that of the one with which it has spoken last.
void PlanKeys(const SecureFabric& fabric, const FabricPeer& peer, const PeersByKey& observed,
              std::chrono::nanoseconds now, FabricPlan* plan) {
  const auto handshake = [&](const PublicKey& key) {
    const ObservedPeer* there = Find(observed, key);
    return there == nullptr ? std::chrono::nanoseconds(0) : there->last_handshake;
  };
  const bool has_changed = peer.next_key && handshake(*peer.next_key) > handshake(peer.key);
  const auto settings = [&](const PublicKey& key, bool in_use, bool calls) {
    const ObservedPeer* there = Find(observed, key);
    PeerSettings wanted = {key, peer.host, there == nullptr, {}, peer.preshared, 0, {}};
    if (MustTellEndpoint(peer, there, now)) wanted.endpoint = peer.endpoint;
    if (in_use) wanted.allowed = {{peer.address, 32}};
    if (calls && peer.endpoint) wanted.keepalive_s = kKeepaliveS;
    PlanPeer(wanted, there, plan);
  };
  settings(peer.key, !has_changed, fabric.is_behind_nat);
  // Called by everybody, so that the change is noticed.
  if (peer.next_key) settings(*peer.next_key, has_changed, true);
}

void PlanDevice(const SecureFabric& fabric, const ObservedFabric& observed, FabricPlan* plan) {
  PeersByKey there;
  if (observed.device) {
    for (const ObservedPeer& peer : observed.device->peers) there.emplace(peer.key, &peer);
  }
  if (!observed.device || !(observed.device->key == fabric.key)) plan->change.key = fabric.key;
  if (!observed.device || observed.device->port != fabric.port) plan->change.port = fabric.port;
  std::set<PublicKey> wanted;
  for (const FabricPeer& peer : fabric.peers) {
    wanted.insert(peer.key);
    if (peer.next_key) wanted.insert(*peer.next_key);
  }
  for (const auto& [key, peer] : there) {
    if (!wanted.contains(key)) plan->change.remove_peers.push_back(key);
  }
  for (const FabricPeer& peer : fabric.peers) {
    PlanKeys(fabric, peer, there, observed.now, plan);
  }
}

void PlanLink(const SecureFabric& fabric, const ObservedLink* link, const ObservedFabric& observed,
              FabricPlan* plan) {
  const LinkAddress own = {fabric.address, fabric.prefix.length};
  bool has_own = false;
  if (!plan->create) {
    for (const LinkAddress& address : observed.addresses) {
      if (address == own) {
        has_own = true;
      } else {
        plan->remove_addresses.push_back(address);
      }
    }
  }
  if (!has_own) plan->add_address = own;
  if (plan->create || !link->up || link->mtu != fabric.mtu()) plan->raise_with_mtu = fabric.mtu();
}

std::string PeerText(const PeerSettings& peer, const std::string& device) {
  std::string text = "peer " + peer.host;
  for (const Ipv4Prefix& prefix : peer.allowed) text += " " + prefix.base.ToString();
  if (peer.allowed.empty()) text += " with its other key";
  text += " of " + device;
  if (peer.endpoint) text += " at " + peer.endpoint->ToString();
  if (peer.keepalive_s != 0) text += " kept alive every " + std::to_string(peer.keepalive_s) + " s";
  return text;
}

}  // namespace

Result<FabricPlan> MakeFabricPlan(const std::string& instance,
                                  const std::optional<SecureFabric>& desired,
                                  const ObservedFabric& observed) {
  FabricPlan plan;
  plan.name = FabricName(instance);
  const auto link = std::find_if(observed.links.begin(), observed.links.end(),
                                 [&](const ObservedLink& one) { return one.name == plan.name; });
  const bool has_link = link != observed.links.end();
  if (!desired) {
    plan.remove = has_link;
    plan.esp = RemovalOfEsp(observed.esp);
    if (observed.has_rules) plan.ruleset = RemovalOfFabricRuleset(instance);
    return plan;
  }
  if (desired->instance != instance) {
    return Error(Code::kInvalidArgument,
                 "fabric: this host's instance is " + instance + ", not " + desired->instance);
  }
  RETURN_IF_ERROR(CheckFabric(*desired));
  RETURN_IF_ERROR(CheckHost(*desired, observed));
  plan.remove = has_link && !observed.has_device;
  plan.create = !has_link || !observed.has_device;
  if (!observed.has_rules) plan.ruleset = MakeFabricRuleset(*desired);
  if (desired->kind == FabricKind::kEsp) {
    ASSIGN_OR_RETURN(plan.esp, MakeEspPlan(*desired, observed.esp));
  } else {
    plan.esp = RemovalOfEsp(observed.esp);
    PlanDevice(*desired, observed, &plan);
  }
  PlanLink(*desired, has_link ? &*link : nullptr, observed, &plan);
  return plan;
}

std::vector<std::string> DescribeChanges(const FabricPlan& plan) {
  std::vector<std::string> lines;
  if (plan.remove) lines.push_back("- link " + plan.name);
  if (!plan.ruleset.empty()) lines.push_back("~ rules of fabric " + plan.name);
  const std::string device = (plan.create ? "+ fabric " : "~ fabric ") + plan.name;
  const DeviceChange& change = plan.change;
  if (change.key || change.port || plan.create) {
    lines.push_back(device + (change.key && !plan.create ? " with another key" : "") +
                    (change.port ? " port " + std::to_string(*change.port) : ""));
  }
  for (const PublicKey& key : change.remove_peers) {
    lines.push_back("- peer " + key.ToString() + " of " + plan.name);
  }
  for (const PeerSettings& peer : change.set_peers) {
    lines.push_back((peer.is_new ? "+ " : "~ ") + PeerText(peer, plan.name));
  }
  const std::vector<std::string> esp = DescribeChanges(plan.esp, plan.name);
  lines.insert(lines.end(), esp.begin(), esp.end());
  for (const LinkAddress& address : plan.remove_addresses) {
    lines.push_back("- address " + address.ToString() + " of " + plan.name);
  }
  if (plan.add_address) {
    lines.push_back("+ address " + plan.add_address->ToString() + " of " + plan.name);
  }
  if (plan.raise_with_mtu) {
    lines.push_back("~ fabric " + plan.name + " up mtu " + std::to_string(*plan.raise_with_mtu));
  }
  return lines;
}

}  // namespace strata::net
