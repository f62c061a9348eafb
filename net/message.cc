#include "net/message.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <set>

#include "common/log.h"
#include "net/fabric_message.h"
#include "net/secure/fabric.h"

namespace strata::net {
namespace {

Error Wrong(const v1::Network& network, const std::string& what) {
  return Error(Code::kInvalidArgument, "network " + std::to_string(network.number()) + ": " + what);
}

Result<uint16_t> ReadPort(const v1::Network& network, uint32_t port) {
  if (port > 65535) return Wrong(network, "there is no port " + std::to_string(port));
  return static_cast<uint16_t>(port);
}

Status ReadForwards(const v1::Network& network, Bridge* bridge) {
  for (const v1::Forward& forward : network.forwards()) {
    if (!v1::Protocol_IsValid(forward.protocol())) {
      return Wrong(network, "a forward is of no known protocol");
    }
    Forward& out = bridge->forwards.emplace_back();
    out.protocol = forward.protocol() == v1::UDP ? Protocol::kUdp : Protocol::kTcp;
    ASSIGN_OR_RETURN(out.host_port, ReadPort(network, forward.host_port()));
    ASSIGN_OR_RETURN(out.node_port, ReadPort(network, forward.node_port()));
    ASSIGN_OR_RETURN(out.address, Ipv4::Parse(forward.address()), "a forward's target");
    out.ending = forward.ending();
  }
  for (const v1::RemoteForward& forward : network.remote_forwards()) {
    if (!v1::Protocol_IsValid(forward.protocol())) {
      return Wrong(network, "a forward of another host is of no known protocol");
    }
    RemoteForward& out = bridge->remote_forwards.emplace_back();
    out.protocol = forward.protocol() == v1::UDP ? Protocol::kUdp : Protocol::kTcp;
    ASSIGN_OR_RETURN(out.address, Ipv4::Parse(forward.address()), "a forward's target");
    ASSIGN_OR_RETURN(out.node_port, ReadPort(network, forward.node_port()));
    ASSIGN_OR_RETURN(out.host, Ipv4::Parse(forward.host()), "the host of a forward");
  }
  return Ok();
}

Status ReadBalanced(const v1::Network& network, Bridge* bridge) {
  for (const v1::BalancedForward& balanced : network.balanced()) {
    if (!v1::Protocol_IsValid(balanced.protocol())) {
      return Wrong(network, "a balanced forward is of no known protocol");
    }
    BalancedForward& out = bridge->balanced.emplace_back();
    out.protocol = balanced.protocol() == v1::UDP ? Protocol::kUdp : Protocol::kTcp;
    out.sticky = balanced.sticky();
    ASSIGN_OR_RETURN(out.host_port, ReadPort(network, balanced.host_port()));
    for (const v1::Target& target : balanced.targets()) {
      Target& one = out.targets.emplace_back();
      ASSIGN_OR_RETURN(one.address, Ipv4::Parse(target.address()), "a forward's target");
      ASSIGN_OR_RETURN(one.port, ReadPort(network, target.port()));
    }
  }
  return Ok();
}

Status ReadGroupRules(const v1::Network& network, Bridge* bridge) {
  for (const v1::GroupRule& rule : network.group_rules()) {
    if (!v1::GroupRule_From_IsValid(rule.from()) || !v1::GroupRule_Kind_IsValid(rule.kind())) {
      return Wrong(network, "a rule of groups is of no known kind");
    }
    GroupRule& out = bridge->group_rules.emplace_back();
    out.from = static_cast<GroupRule::From>(rule.from());
    out.from_group = rule.from_group();
    out.to_group = rule.to_group();
    out.kind = static_cast<GroupRule::Kind>(rule.kind());
    ASSIGN_OR_RETURN(out.port_first, ReadPort(network, rule.port_first()));
    ASSIGN_OR_RETURN(out.port_last, ReadPort(network, rule.port_last()));
  }
  return Ok();
}

// In message and value they are the same numbers.
static_assert(static_cast<int>(GroupRule::From::kOutside) == v1::GroupRule::OUTSIDE &&
              static_cast<int>(GroupRule::From::kGroup) == v1::GroupRule::GROUP &&
              static_cast<int>(GroupRule::Kind::kTcp) == v1::GroupRule::TCP_PORTS &&
              static_cast<int>(GroupRule::Kind::kUdp) == v1::GroupRule::UDP_PORTS &&
              static_cast<int>(GroupRule::Kind::kIcmp) == v1::GroupRule::ICMP);

void WriteForwards(const Bridge& bridge, v1::Network* network) {
  for (const Forward& forward : bridge.forwards) {
    v1::Forward* out = network->add_forwards();
    out->set_protocol(forward.protocol == Protocol::kUdp ? v1::UDP : v1::TCP);
    out->set_host_port(forward.host_port);
    out->set_address(forward.address.ToString());
    out->set_node_port(forward.node_port);
    out->set_ending(forward.ending);
  }
  for (const RemoteForward& forward : bridge.remote_forwards) {
    v1::RemoteForward* out = network->add_remote_forwards();
    out->set_protocol(forward.protocol == Protocol::kUdp ? v1::UDP : v1::TCP);
    out->set_address(forward.address.ToString());
    out->set_node_port(forward.node_port);
    out->set_host(forward.host.ToString());
  }
}

void WritePolicy(const Bridge& bridge, v1::Network* network) {
  for (const BalancedForward& balanced : bridge.balanced) {
    v1::BalancedForward* out = network->add_balanced();
    out->set_protocol(balanced.protocol == Protocol::kUdp ? v1::UDP : v1::TCP);
    out->set_host_port(balanced.host_port);
    out->set_sticky(balanced.sticky);
    for (const Target& target : balanced.targets) {
      v1::Target* one = out->add_targets();
      one->set_address(target.address.ToString());
      one->set_port(target.port);
    }
  }
  for (const GroupRule& rule : bridge.group_rules) {
    v1::GroupRule* out = network->add_group_rules();
    out->set_from(static_cast<v1::GroupRule::From>(rule.from));
    out->set_from_group(rule.from_group);
    out->set_to_group(rule.to_group);
    out->set_kind(static_cast<v1::GroupRule::Kind>(rule.kind));
    out->set_port_first(rule.port_first);
    out->set_port_last(rule.port_last);
  }
  for (const uint32_t peer : bridge.peers) network->add_peers(peer);
}

Status ReadOverlay(const v1::Network& network, const std::optional<DesiredFabric>& fabric,
                   Bridge* bridge) {
  if (!network.has_overlay()) return Ok();
  Overlay& overlay = bridge->overlay.emplace();
  overlay.vni = network.number();
  ASSIGN_OR_RETURN(overlay.local, Ipv4::Parse(network.overlay().local()), "overlay.local");
  if (network.overlay().underlay_mtu() != 0) {
    overlay.underlay_mtu = network.overlay().underlay_mtu();
  } else if (fabric && fabric->prefix.Contains(overlay.local)) {
    overlay.underlay_mtu = fabric->mtu();
  }
  if (network.overlay().port() != 0) {
    ASSIGN_OR_RETURN(overlay.port, ReadPort(network, network.overlay().port()));
  }
  for (const v1::RemoteNode& remote : network.overlay().remotes()) {
    RemoteNode& out = overlay.remotes.emplace_back();
    ASSIGN_OR_RETURN(out.address, Ipv4::Parse(remote.address()), "a remote node");
    ASSIGN_OR_RETURN(out.host, Ipv4::Parse(remote.host()), "the host of a remote node");
    out.mac = MacForNode(overlay.vni, out.address);
    out.group = remote.group();
  }
  return Ok();
}

Status ReadNodes(const v1::Network& network, const std::string& instance, const Ipv4Prefix& prefix,
                 DesiredNetwork* desired) {
  std::set<uint32_t> seen;
  for (const v1::LocalNode& node : network.nodes()) {
    const std::string index = std::to_string(node.index());
    if (node.index() >= NodesMaxOf(prefix)) return Wrong(network, "no node can be " + index);
    if (!seen.insert(node.index()).second)
      return Wrong(network, "node " + index + " is there twice");
    Veth veth = MakeVeth(instance, network.number(), node.index(), node.bits_per_s_max());
    veth.group = node.group();
    veth.user = node.user();
    desired->veths.push_back(std::move(veth));
  }
  return Ok();
}

Status ReadNames(const v1::Names& names, HostNames* out) {
  out->domain = names.domain();
  for (const v1::Name& name : names.names()) {
    HostName& one = out->names.emplace_back();
    one.name = name.name();
    for (const std::string& address : name.addresses()) {
      ASSIGN_OR_RETURN(one.addresses.emplace_back(), IpAddress::Parse(address));
    }
  }
  return Ok();
}

void WriteNames(const HostNames& names, v1::Names* out) {
  out->set_domain(names.domain);
  for (const HostName& name : names.names) {
    v1::Name* one = out->add_names();
    one->set_name(name.name);
    for (const IpAddress& address : name.addresses) one->add_addresses(address.ToString());
  }
}

bool IsInstance(const std::string& text) {
  return text.size() == kInstanceDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

Result<DesiredNetwork> FromMessage(const v1::HostNetworks& message) {
  DesiredNetwork desired;
  desired.instance = message.instance();
  if (!IsInstance(desired.instance)) {
    return Error(Code::kInvalidArgument, "instance: not five lower-case hex digits");
  }
  ASSIGN_OR_RETURN(desired.pool, Ipv4Prefix::Parse(message.pool()), "pool");
  if (!message.pool6().empty()) {
    ASSIGN_OR_RETURN(desired.pool6, ParsePool6(message.pool6()), "pool6");
  }
  desired.keep_unknown_veths = message.keep_unknown_nodes();
  for (const v1::UserLimit& limit : message.user_limits()) {
    desired.user_limits.push_back({limit.user(), limit.bits_per_s_max()});
  }
  for (const std::string& resolver : message.resolvers()) {
    ASSIGN_OR_RETURN(desired.resolvers.emplace_back(), IpAddress::Parse(resolver), "resolvers");
  }
  if (message.has_fabric()) {
    ASSIGN_OR_RETURN(desired.fabric, ReadFabric(message.fabric()), "fabric");
  }
  std::set<uint32_t> numbers;
  for (const v1::Network& network : message.networks()) {
    if (network.number() == 0 || network.number() > kVniMax) {
      return Wrong(network, "numbers are from 1 to " + std::to_string(kVniMax));
    }
    if (!numbers.insert(network.number()).second) return Wrong(network, "it is there twice");
    auto prefix = Ipv4Prefix::Parse(network.prefix());
    if (!prefix.ok()) return Wrong(network, prefix.error().message());
    if (prefix->length < kClusterPrefixLength || prefix->length > kClusterPrefixLengthMax) {
      return Wrong(network, prefix->ToString() + " is no /24 to /28");
    }
    Bridge bridge = MakeBridge(desired.instance, network.number(), *prefix, desired.pool6);
    RETURN_IF_ERROR(ReadForwards(network, &bridge), "network " + std::to_string(network.number()));
    RETURN_IF_ERROR(ReadOverlay(network, desired.fabric, &bridge),
                    "network " + std::to_string(network.number()));
    RETURN_IF_ERROR(ReadBalanced(network, &bridge), "network " + std::to_string(network.number()));
    RETURN_IF_ERROR(ReadGroupRules(network, &bridge));
    RETURN_IF_ERROR(ReadNames(network.names(), &bridge.names),
                    "network " + std::to_string(network.number()));
    bridge.peers.assign(network.peers().begin(), network.peers().end());
    RETURN_IF_ERROR(ReadNodes(network, desired.instance, *prefix, &desired));
    desired.bridges.push_back(std::move(bridge));
  }
  RETURN_IF_ERROR(CheckDesired(desired));
  RETURN_IF_ERROR(CheckOverFabric(desired));
  return desired;
}

v1::HostNetworks ToMessage(const DesiredNetwork& desired) {
  v1::HostNetworks message;
  message.set_instance(desired.instance);
  message.set_pool(desired.pool.ToString());
  if (desired.pool6) message.set_pool6(desired.pool6->ToString());
  message.set_keep_unknown_nodes(desired.keep_unknown_veths);
  for (const IpAddress& one : desired.resolvers) message.add_resolvers(one.ToString());
  std::map<uint32_t, v1::Network*> networks;
  for (const Bridge& bridge : desired.bridges) {
    v1::Network* network = message.add_networks();
    networks[bridge.number] = network;
    network->set_number(bridge.number);
    network->set_prefix(bridge.prefix.ToString());
    WriteForwards(bridge, network);
    WritePolicy(bridge, network);
    if (!bridge.names.names.empty()) WriteNames(bridge.names, network->mutable_names());
    if (!bridge.overlay) continue;
    v1::Overlay* overlay = network->mutable_overlay();
    overlay->set_local(bridge.overlay->local.ToString());
    overlay->set_underlay_mtu(bridge.overlay->underlay_mtu);
    overlay->set_port(bridge.overlay->port);
    for (const RemoteNode& remote : bridge.overlay->remotes) {
      v1::RemoteNode* out = overlay->add_remotes();
      out->set_address(remote.address.ToString());
      out->set_host(remote.host.ToString());
      out->set_group(remote.group);
    }
  }
  for (const Veth& veth : desired.veths) {
    const auto network = networks.find(veth.network);
    if (network == networks.end()) continue;
    v1::LocalNode* node = network->second->add_nodes();
    node->set_index(veth.index);
    node->set_bits_per_s_max(veth.bits_per_s_max);
    node->set_group(veth.group);
    node->set_user(veth.user);
  }
  for (const UserLimit& limit : desired.user_limits) {
    v1::UserLimit* out = message.add_user_limits();
    out->set_user(limit.user);
    out->set_bits_per_s_max(limit.bits_per_s_max);
  }
  if (desired.fabric) *message.mutable_fabric() = ToMessage(*desired.fabric);
  return message;
}

Result<DesiredNetwork> ParseNetworks(std::string_view json) {
  if (json.size() > kNetworksFileBytesMax) {
    return Error(Code::kResourceExhausted,
                 "it has more than " + std::to_string(kNetworksFileBytesMax >> 20) + " MiB");
  }
  v1::HostNetworks message;
  const auto read =
      google::protobuf::util::JsonStringToMessage({json.data(), json.size()}, &message);
  if (!read.ok()) return Error(Code::kInvalidArgument, std::string(read.message()));
  return FromMessage(message);
}

std::string FormatNetworks(const DesiredNetwork& desired) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto written =
      google::protobuf::util::MessageToJsonString(ToMessage(desired), &json, options);
  CHECK(written.ok());
  return json;
}

Result<DesiredNetwork> DeserializeNetworks(std::string_view bytes) {
  v1::HostNetworks message;
  if (bytes.size() > kNetworksFileBytesMax ||
      !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Error(Code::kInvalidArgument, "not what an earlier process kept");
  }
  return FromMessage(message);
}

std::string SerializeNetworks(const DesiredNetwork& desired) {
  return ToMessage(desired).SerializeAsString();
}

}  // namespace strata::net
