#include "net/fabric_message.h"

#include "net/secure/fabric.h"

namespace strata::net {
namespace {

Result<std::optional<Endpoint>> ReadEndpoint(const std::string& text) {
  if (text.empty()) return std::optional<Endpoint>();
  ASSIGN_OR_RETURN(const Endpoint endpoint, Endpoint::Parse(text));
  return std::optional(endpoint);
}

Result<FabricMember> ReadPeer(const v1::FabricPeer& message) {
  FabricMember peer;
  peer.host = message.host();
  ASSIGN_OR_RETURN(peer.address, Ipv4::Parse(message.address()));
  ASSIGN_OR_RETURN(peer.key, PublicKey::Parse(message.key()));
  ASSIGN_OR_RETURN(peer.next_key, ReadKey(message.next_key()), "next_key");
  ASSIGN_OR_RETURN(peer.session, ReadKey(message.session()), "session");
  ASSIGN_OR_RETURN(peer.endpoint, ReadEndpoint(message.endpoint()));
  return peer;
}

std::string Text(const std::optional<PublicKey>& key) { return key ? key->ToString() : ""; }

}  // namespace

Result<std::optional<PublicKey>> ReadKey(const std::string& text) {
  if (text.empty()) return std::optional<PublicKey>();
  ASSIGN_OR_RETURN(const PublicKey key, PublicKey::Parse(text));
  return std::optional(key);
}

Result<DesiredFabric> ReadFabric(const v1::Fabric& message) {
  DesiredFabric fabric;
  if (!v1::Fabric_Kind_IsValid(message.kind())) {
    return Error(Code::kInvalidArgument, "it is of no known kind");
  }
  fabric.kind = message.kind() == v1::Fabric::ESP ? FabricKind::kEsp : FabricKind::kWireguard;
  ASSIGN_OR_RETURN(fabric.prefix, Ipv4Prefix::Parse(message.prefix()), "prefix");
  ASSIGN_OR_RETURN(fabric.address, Ipv4::Parse(message.address()), "address");
  if (message.port() > 65535) {
    return Error(Code::kInvalidArgument, "there is no port " + std::to_string(message.port()));
  }
  if (message.port() != 0) fabric.port = static_cast<uint16_t>(message.port());
  ASSIGN_OR_RETURN(fabric.endpoint, ReadEndpoint(message.endpoint()), "endpoint");
  fabric.is_behind_nat = message.behind_nat();
  if (message.underlay_mtu() != 0) fabric.underlay_mtu = message.underlay_mtu();
  fabric.has_ipv6_endpoints = message.ipv6_endpoints();
  ASSIGN_OR_RETURN(fabric.follow_key, ReadKey(message.follow_key()), "follow_key");
  ASSIGN_OR_RETURN(fabric.use_key, ReadKey(message.use_key()), "use_key");
  if (static_cast<size_t>(message.peers_size()) > kFabricPeersMax) {
    return Error(Code::kInvalidArgument, "more than " + std::to_string(kFabricPeersMax) + " peers");
  }
  for (const v1::FabricPeer& peer : message.peers()) {
    ASSIGN_OR_RETURN(FabricMember read, ReadPeer(peer), "peer " + peer.host());
    fabric.peers.push_back(std::move(read));
  }
  return fabric;
}

v1::Fabric ToMessage(const DesiredFabric& fabric) {
  v1::Fabric message;
  message.set_kind(fabric.kind == FabricKind::kEsp ? v1::Fabric::ESP : v1::Fabric::WIREGUARD);
  message.set_prefix(fabric.prefix.ToString());
  message.set_address(fabric.address.ToString());
  message.set_port(fabric.port);
  if (fabric.endpoint) message.set_endpoint(fabric.endpoint->ToString());
  message.set_behind_nat(fabric.is_behind_nat);
  message.set_underlay_mtu(fabric.underlay_mtu);
  message.set_ipv6_endpoints(fabric.has_ipv6_endpoints);
  message.set_follow_key(Text(fabric.follow_key));
  message.set_use_key(Text(fabric.use_key));
  for (const FabricMember& peer : fabric.peers) {
    v1::FabricPeer* out = message.add_peers();
    out->set_host(peer.host);
    out->set_address(peer.address.ToString());
    out->set_key(peer.key.ToString());
    out->set_next_key(Text(peer.next_key));
    out->set_session(Text(peer.session));
    if (peer.endpoint) out->set_endpoint(peer.endpoint->ToString());
  }
  return message;
}

}  // namespace strata::net
