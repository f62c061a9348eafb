#include "net/trace.h"

#include <algorithm>

namespace strata::net {
namespace {

using End = TraceStep::End;

class Tracer {
 public:
  Tracer(const DesiredNetwork& desired, const std::vector<ObservedLink>& links, Driver driver,
         const TraceQuestion& question, const FastState* fast)
      : desired_(desired), links_(links), driver_(driver), question_(question), fast_(fast) {}

  std::vector<TraceStep> Run() {
    const Bridge* const from = NetworkOf(question_.from);
    if (from != nullptr) {
      FromNetwork(*from);
    } else {
      FromOutside();
    }
    return std::move(steps_);
  }

 private:
  void Add(End end, std::string where, std::string what) {
    steps_.push_back({end, std::move(where), std::move(what)});
  }
  void GoesOn(std::string where, std::string what) {
    Add(End::kGoesOn, std::move(where), std::move(what));
  }
  void Dropped(std::string where, std::string what) {
    Add(End::kDropped, std::move(where), std::move(what));
  }

  // What `n` of the network's prefix has, in the family that is asked for.
  IpAddress Host(const Bridge& bridge, uint32_t n) const {
    return question_.from.is_ipv4() ? bridge.prefix.Host(n) : bridge.prefix6->Host(n);
  }
  IpAddress AddressOf(const Bridge& bridge, Ipv4 address) const {
    return Host(bridge, address.value - bridge.prefix.base.value);
  }
  bool IsIn(const Bridge& bridge, const IpAddress& address) const {
    if (!address.is_ipv4()) return bridge.has_ipv6() && bridge.prefix6->Contains(address);
    return bridge.prefix.Contains(Ipv4::Parse(address.ToString()).value());
  }
  const Bridge* NetworkOf(const IpAddress& address) const {
    const auto found = std::find_if(desired_.bridges.begin(), desired_.bridges.end(),
                                    [&](const Bridge& bridge) { return IsIn(bridge, address); });
    return found == desired_.bridges.end() ? nullptr : &*found;
  }
  const ObservedLink* LinkOf(const std::string& name) const {
    const auto found = std::find_if(links_.begin(), links_.end(),
                                    [&](const ObservedLink& link) { return link.name == name; });
    return found == links_.end() ? nullptr : &*found;
  }
  const Veth* LocalNode(const Bridge& bridge, const IpAddress& address) const {
    const auto found =
        std::find_if(desired_.veths.begin(), desired_.veths.end(), [&](const Veth& veth) {
          return veth.network == bridge.number &&
                 Host(bridge, kFirstNodeHost + veth.index) == address;
        });
    return found == desired_.veths.end() ? nullptr : &*found;
  }
  const RemoteNode* RemoteNodeOf(const Bridge& bridge, const IpAddress& address) const {
    if (!bridge.overlay) return nullptr;
    const auto& remotes = bridge.overlay->remotes;
    const auto found = std::find_if(remotes.begin(), remotes.end(), [&](const RemoteNode& remote) {
      return AddressOf(bridge, remote.address) == address;
    });
    return found == remotes.end() ? nullptr : &*found;
  }
  bool IsOfHost(const IpAddress& address) const {
    return std::any_of(links_.begin(), links_.end(), [&](const ObservedLink& link) {
      return std::any_of(link.addresses.begin(), link.addresses.end(),
                         [&](const Ipv4Prefix& one) { return IpAddress(one.base) == address; }) ||
             std::find(link.addresses6.begin(), link.addresses6.end(), address) !=
                 link.addresses6.end();
    });
  }
  std::string PortText() const {
    if (!question_.protocol) return "ping";
    return "port " + std::to_string(question_.port) + "/" +
           std::string(ProtocolName(*question_.protocol));
  }

  // Whether a node's link can carry anything.
  bool LinkWorks(const Bridge& bridge, const Veth& veth) {
    const ObservedLink* const link = LinkOf(veth.name);
    if (link == nullptr) {
      Dropped("link " + veth.name, "is not there: the node does not run");
    } else if (!link->up) {
      Dropped("link " + veth.name, "is down");
    } else if (driver_ == Driver::kLinux && link->master != bridge.name) {
      Dropped("link " + veth.name, "is no port of bridge " + bridge.name);
    } else {
      return true;
    }
    return false;
  }
  bool BridgeWorks(const Bridge& bridge) {
    const ObservedLink* const link = LinkOf(bridge.name);
    if (link != nullptr && link->up) return true;
    Dropped("bridge " + bridge.name, link == nullptr ? "is not there (vnet plan)" : "is down");
    return false;
  }
  static std::string RateText(const Veth& veth) {
    return veth.bits_per_s_max == 0 ? ""
                                    : ", at most " + std::to_string(veth.bits_per_s_max) + " bit/s";
  }

  void FromNetwork(const Bridge& bridge) {
    const Veth* const node = LocalNode(bridge, question_.from);
    const RemoteNode* const remote = RemoteNodeOf(bridge, question_.from);
    if (node != nullptr) {
      if (!LinkWorks(bridge, *node) || !BridgeWorks(bridge)) return;
      GoesOn("link " + node->name, "from node " + std::to_string(node->index) + " of network " +
                                       std::to_string(bridge.number) + RateText(*node));
      GoesOn("rules", "a node sends from its own MAC and address alone");
      from_group_ = node->group;
      sender_ = LinkOf(node->name);
    } else if (remote != nullptr) {
      if (!BridgeWorks(bridge)) return;
      GoesOn("tunnel " + bridge.tunnel(), "comes from host " + remote->host.ToString());
      from_group_ = remote->group;
      sender_ = LinkOf(bridge.tunnel());
    } else if (question_.from == Host(bridge, kGatewayHost)) {
      GoesOn("bridge " + bridge.name, "from this host");
    } else {
      Dropped("bridge " + bridge.name, "nobody has " + question_.from.ToString());
      return;
    }
    from_ = &bridge;
    To(bridge);
  }

  void To(const Bridge& from) {
    const Bridge* const to = NetworkOf(question_.to);
    if (to == &from && question_.to != Host(from, kGatewayHost)) {
      Reach(from, question_.to, question_.protocol, question_.port);
    } else if (to == nullptr ? IsOfHost(question_.to) : question_.to == Host(*to, kGatewayHost)) {
      ToHost();
    } else if (to == nullptr) {
      GoesOn("bridge " + from.name, "to the gateway, this host");
      Add(End::kElsewhere, "rules",
          "leaves with this host's address (masqueraded), where the host's routes lead");
    } else {
      ToOtherNetwork(from, *to);
    }
  }

  void ToOtherNetwork(const Bridge& from, const Bridge& to) {
    GoesOn("bridge " + from.name, "to the gateway, this host");
    for (const auto& [one, other] : PeersOf(desired_)) {
      if ((one == &from && other == &to) || (one == &to && other == &from)) {
        GoesOn("rules", "networks " + std::to_string(from.number) + " and " +
                            std::to_string(to.number) + " are peers");
        from_ = nullptr;
        Reach(to, question_.to, question_.protocol, question_.port);
        return;
      }
    }
    Dropped("rules", "networks " + std::to_string(from.number) + " and " +
                         std::to_string(to.number) + " are no peers (between_networks)");
  }

  void FromOutside() {
    GoesOn("host", IsOfHost(question_.from) ? "from this host" : "from outside");
    const Bridge* const to = NetworkOf(question_.to);
    if (to != nullptr && question_.to != Host(*to, kGatewayHost)) {
      if (IsOfHost(question_.from)) {
        Reach(*to, question_.to, question_.protocol, question_.port);
      } else {
        Dropped("rules",
                "a node's address is not reached from outside, only a forwarded port of "
                "its host is (from_outside)");
      }
    } else if (to != nullptr || IsOfHost(question_.to)) {
      ToHost();
    } else {
      Add(End::kElsewhere, "host", question_.to.ToString() + " is of no network of this host");
    }
  }

  // An address of this host: a forward, or the host itself.
  void ToHost() {
    for (const Bridge& bridge : desired_.bridges) {
      if (!question_.to.is_ipv4() && !bridge.has_ipv6()) continue;
      for (const Forward& forward : bridge.forwards) {
        if (forward.protocol != question_.protocol || forward.host_port != question_.port ||
            forward.ending) {
          continue;
        }
        GoesOn("rules", PortText() + " of this host leads to " +
                            AddressOf(bridge, forward.address).ToString() + " port " +
                            std::to_string(forward.node_port) + " of network " +
                            std::to_string(bridge.number) + " (forward." +
                            std::string(ProtocolName(forward.protocol)) + "." +
                            std::to_string(forward.host_port) + ")");
        if (from_ != &bridge) from_ = nullptr;
        Reach(bridge, AddressOf(bridge, forward.address), forward.protocol, forward.node_port);
        return;
      }
      if (!question_.to.is_ipv4()) continue;  // Balanced forwards are of IPv4 alone.
      for (const BalancedForward& forward : bridge.balanced) {
        if (forward.protocol != question_.protocol || forward.host_port != question_.port) continue;
        std::string targets;
        for (const Target& target : forward.targets) {
          targets += (targets.empty() ? "" : ", ") + target.address.ToString() + ":" +
                     std::to_string(target.port) + (target.up ? "" : " (down)");
        }
        Add(End::kArrives, "rules",
            PortText() + " of this host leads to one of " + targets +
                (forward.sticky ? ", always the same for one sender" : ", in turn"));
        return;
      }
    }
    if (AsksForNames()) {
      Add(End::kArrives, "host", "the gateway answers questions for names");
    } else if (from_ == nullptr) {
      Add(End::kArrives, "host", "is the host itself; no forward has " + PortText());
    } else if (!question_.protocol) {
      Add(End::kArrives, "host", "answers ping");
    } else {
      Dropped("rules", "nodes reach nothing of their host but ping; no forward has " + PortText() +
                           " (to_host)");
    }
  }

  bool AsksForNames() const {
    return from_ != nullptr && from_->serves_names && question_.to == from_->gateway() &&
           question_.protocol && question_.port == 53;
  }

  // The last part of the way: a node, by its bridge.
  void Reach(const Bridge& bridge, const IpAddress& address, std::optional<Protocol> protocol,
             uint16_t port) {
    if (!BridgeWorks(bridge)) return;
    if (const Veth* const node = LocalNode(bridge, address)) {
      if (!LinkWorks(bridge, *node)) return;
      if (FastWayTo(bridge, address) != nullptr) {
        GoesOn("fast path", "to the node's end of link " + node->name + ", past the bridge");
      } else {
        GoesOn("bridge " + bridge.name, "to link " + node->name + RateText(*node));
      }
      if (!GroupTakes(bridge, node->group, protocol, port)) return;
      Add(End::kArrives, "link " + node->name, "node " + std::to_string(node->index));
    } else if (const RemoteNode* const remote = RemoteNodeOf(bridge, address)) {
      ReachRemote(bridge, *remote);
    } else {
      Dropped("bridge " + bridge.name,
              "nobody has " + address.ToString() + " in network " + std::to_string(bridge.number));
    }
  }

  // Null: the bridge has it.
  const FastWay* FastWayTo(const Bridge& bridge, const IpAddress& address) const {
    if (fast_ == nullptr || sender_ == nullptr || from_ != &bridge || !address.is_ipv4() ||
        !fast_->sources.contains(static_cast<uint32_t>(sender_->index))) {
      return nullptr;
    }
    const Mac mac = MacForNode(bridge.network(), Ipv4::Parse(address.ToString()).value());
    const auto way = fast_->ways.find(FastNodeOf(bridge, mac));
    return way == fast_->ways.end() ? nullptr : &way->second;
  }

  void ReachRemote(const Bridge& bridge, const RemoteNode& remote) {
    if (driver_ == Driver::kLinux && !TunnelWorks(bridge, remote)) return;
    GoesOn("bridge " + bridge.name, "answers who has " +
                                        AddressOf(bridge, remote.address).ToString() + " with " +
                                        ToString(remote.mac));
    const FastWay* const way = FastWayTo(bridge, AddressOf(bridge, remote.address));
    if (way != nullptr && way->host != 0) {
      GoesOn("fast path", "makes the packets of the tunnel, and gives them to the underlay's link");
    }
    Add(End::kElsewhere, "tunnel " + bridge.tunnel(),
        "VNI " + std::to_string(bridge.overlay->vni) + " to host " + remote.host.ToString() +
            ": vnet trace there says how it goes on");
  }

  bool TunnelWorks(const Bridge& bridge, const RemoteNode& remote) {
    const ObservedLink* const tunnel = LinkOf(bridge.tunnel());
    const auto missing = [&](const std::string& what) {
      Dropped("tunnel " + bridge.tunnel(), what + " (vnet plan)");
      return false;
    };
    if (tunnel == nullptr || !tunnel->up) return missing("is not there, or down");
    const auto way = tunnel->remotes.find(remote.mac);
    if (way == tunnel->remotes.end() || !way->second.on_tunnel || !way->second.on_bridge ||
        way->second.host != remote.host) {
      return missing("has no way to " + ToString(remote.mac));
    }
    return true;
  }

  bool GroupTakes(const Bridge& bridge, uint32_t group, std::optional<Protocol> protocol,
                  uint16_t port) {
    const auto leads_here = [&](const GroupRule& rule) { return rule.to_group == group; };
    const bool closed =
        group != 0 && std::any_of(bridge.group_rules.begin(), bridge.group_rules.end(), leads_here);
    if (!closed) return true;
    const std::string name = "group " + std::to_string(group);
    for (const GroupRule& rule : bridge.group_rules) {
      if (!leads_here(rule) || !IsFromHere(rule, bridge) || !Covers(rule, protocol, port)) continue;
      GoesOn("rules", name + " takes it");
      return true;
    }
    Dropped("rules", name + " takes it by no rule (group." + std::to_string(bridge.number) + "." +
                         std::to_string(group) + ")");
    return false;
  }
  bool IsFromHere(const GroupRule& rule, const Bridge& bridge) const {
    switch (rule.from) {
      case GroupRule::From::kAny:
        return true;
      case GroupRule::From::kGroup:
        return from_ == &bridge && from_group_ == rule.from_group;
      case GroupRule::From::kOutside:
        return from_ != &bridge;
    }
    return false;
  }
  static bool Covers(const GroupRule& rule, std::optional<Protocol> protocol, uint16_t port) {
    switch (rule.kind) {
      case GroupRule::Kind::kAll:
        return true;
      case GroupRule::Kind::kIcmp:
        return !protocol;
      case GroupRule::Kind::kTcp:
      case GroupRule::Kind::kUdp: {
        const Protocol of_rule =
            rule.kind == GroupRule::Kind::kTcp ? Protocol::kTcp : Protocol::kUdp;
        return protocol == of_rule &&
               (rule.port_first == 0 || (port >= rule.port_first && port <= rule.port_last));
      }
    }
    return false;
  }

  const DesiredNetwork& desired_;
  const std::vector<ObservedLink>& links_;
  const Driver driver_;
  const TraceQuestion& question_;
  const Bridge* from_ = nullptr;  // The network whose node sends; null: outside, for the target.
  uint32_t from_group_ = 0;
  const FastState* const fast_;
  const ObservedLink* sender_ = nullptr;  // Of whom network `from_` hears.
  std::vector<TraceStep> steps_;
};

}  // namespace

std::vector<TraceStep> Trace(const DesiredNetwork& desired, const std::vector<ObservedLink>& links,
                             Driver driver, const TraceQuestion& question, const FastState* fast) {
  return Tracer(desired, links, driver, question, fast).Run();
}

}  // namespace strata::net
