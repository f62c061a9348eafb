#include "net/message.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <set>

#include "common/log.h"

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
  }
  return Ok();
}

Status ReadOverlay(const v1::Network& network, Bridge* bridge) {
  if (!network.has_overlay()) return Ok();
  Overlay& overlay = bridge->overlay.emplace();
  overlay.vni = network.number();
  ASSIGN_OR_RETURN(overlay.local, Ipv4::Parse(network.overlay().local()), "overlay.local");
  if (network.overlay().underlay_mtu() != 0) {
    overlay.underlay_mtu = network.overlay().underlay_mtu();
  }
  if (network.overlay().port() != 0) {
    ASSIGN_OR_RETURN(overlay.port, ReadPort(network, network.overlay().port()));
  }
  for (const v1::RemoteNode& remote : network.overlay().remotes()) {
    RemoteNode& out = overlay.remotes.emplace_back();
    ASSIGN_OR_RETURN(out.address, Ipv4::Parse(remote.address()), "a remote node");
    ASSIGN_OR_RETURN(out.host, Ipv4::Parse(remote.host()), "the host of a remote node");
    out.mac = MacForNode(overlay.vni, out.address);
  }
  return Ok();
}

Status ReadNodes(const v1::Network& network, const std::string& instance, DesiredNetwork* desired) {
  std::set<uint32_t> seen;
  for (const v1::LocalNode& node : network.nodes()) {
    const std::string index = std::to_string(node.index());
    if (node.index() >= kNodesMaxPerCluster) return Wrong(network, "no node can be " + index);
    if (!seen.insert(node.index()).second)
      return Wrong(network, "node " + index + " is there twice");
    desired->veths.push_back(
        MakeVeth(instance, network.number(), node.index(), node.bits_per_s_max()));
  }
  return Ok();
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
  desired.keep_unknown_veths = message.keep_unknown_nodes();
  std::set<uint32_t> numbers;
  for (const v1::Network& network : message.networks()) {
    if (network.number() == 0 || network.number() > kVniMax) {
      return Wrong(network, "numbers are from 1 to " + std::to_string(kVniMax));
    }
    if (!numbers.insert(network.number()).second) return Wrong(network, "it is there twice");
    auto prefix = Ipv4Prefix::Parse(network.prefix());
    if (!prefix.ok()) return Wrong(network, prefix.error().message());
    Bridge bridge = MakeBridge(desired.instance, network.number(), *prefix);
    RETURN_IF_ERROR(ReadForwards(network, &bridge), "network " + std::to_string(network.number()));
    RETURN_IF_ERROR(ReadOverlay(network, &bridge), "network " + std::to_string(network.number()));
    RETURN_IF_ERROR(ReadNodes(network, desired.instance, &desired));
    desired.bridges.push_back(std::move(bridge));
  }
  RETURN_IF_ERROR(CheckDesired(desired));
  return desired;
}

v1::HostNetworks ToMessage(const DesiredNetwork& desired) {
  v1::HostNetworks message;
  message.set_instance(desired.instance);
  message.set_pool(desired.pool.ToString());
  message.set_keep_unknown_nodes(desired.keep_unknown_veths);
  std::map<uint32_t, v1::Network*> networks;
  for (const Bridge& bridge : desired.bridges) {
    v1::Network* network = message.add_networks();
    networks[bridge.number] = network;
    network->set_number(bridge.number);
    network->set_prefix(bridge.prefix.ToString());
    for (const Forward& forward : bridge.forwards) {
      v1::Forward* out = network->add_forwards();
      out->set_protocol(forward.protocol == Protocol::kUdp ? v1::UDP : v1::TCP);
      out->set_host_port(forward.host_port);
      out->set_address(forward.address.ToString());
      out->set_node_port(forward.node_port);
    }
    if (!bridge.overlay) continue;
    v1::Overlay* overlay = network->mutable_overlay();
    overlay->set_local(bridge.overlay->local.ToString());
    overlay->set_underlay_mtu(bridge.overlay->underlay_mtu);
    overlay->set_port(bridge.overlay->port);
    for (const RemoteNode& remote : bridge.overlay->remotes) {
      v1::RemoteNode* out = overlay->add_remotes();
      out->set_address(remote.address.ToString());
      out->set_host(remote.host.ToString());
    }
  }
  for (const Veth& veth : desired.veths) {
    const auto network = networks.find(veth.network);
    if (network == networks.end()) continue;
    v1::LocalNode* node = network->second->add_nodes();
    node->set_index(veth.index);
    node->set_bits_per_s_max(veth.bits_per_s_max);
  }
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

}  // namespace strata::net
