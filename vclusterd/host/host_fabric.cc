// The host's part in the encrypted network of the hosts: kept on disk, so that its Vclusters'
// networks go over it when no master is there yet.
#include <unistd.h>

#include <cerrno>

#include "common/file_io.h"
#include "common/log.h"
#include "net/network_maker.h"
#include "vclusterd/host/host_nodes.h"

namespace strata::vcluster {
namespace {

constexpr size_t kFileBytesMax = 4u << 20;

std::string PathIn(const std::string& state_dir) { return state_dir + "/vclusterd/fabric"; }

Result<std::optional<net::PublicKey>> ReadKey(const std::string& text) {
  if (text.empty()) return std::optional<net::PublicKey>();
  ASSIGN_OR_RETURN(const net::PublicKey key, net::PublicKey::Parse(text));
  return std::optional(key);
}

Result<net::FabricMember> ReadPeer(const host::v1::FabricPeer& peer) {
  net::FabricMember member;
  member.host = peer.host();
  ASSIGN_OR_RETURN(member.address, net::Ipv4::Parse(peer.address()));
  ASSIGN_OR_RETURN(member.key, net::PublicKey::Parse(peer.part().key()));
  ASSIGN_OR_RETURN(member.next_key, ReadKey(peer.part().next_key()));
  ASSIGN_OR_RETURN(member.session, ReadKey(peer.part().session()));
  if (!peer.part().endpoint().empty()) {
    ASSIGN_OR_RETURN(member.endpoint, net::Endpoint::Parse(peer.part().endpoint()));
  }
  return member;
}

Result<std::optional<net::DesiredFabric>> ReadOrder(const host::v1::FabricOrder& order,
                                                    const HostConfig& config) {
  if (order.prefix().empty()) return std::optional<net::DesiredFabric>();
  net::DesiredFabric fabric;
  fabric.kind = order.esp() ? net::FabricKind::kEsp : net::FabricKind::kWireguard;
  ASSIGN_OR_RETURN(fabric.prefix, net::Ipv4Prefix::Parse(order.prefix()));
  ASSIGN_OR_RETURN(fabric.address, net::Ipv4::Parse(order.address()));
  fabric.port = config.fabric_port;
  fabric.endpoint = config.fabric_endpoint;
  fabric.is_behind_nat = !config.fabric_endpoint;
  fabric.underlay_mtu = config.link_mtu;
  for (const host::v1::FabricPeer& peer : order.peers()) {
    ASSIGN_OR_RETURN(net::FabricMember member, ReadPeer(peer), "host " + peer.host());
    fabric.peers.push_back(std::move(member));
  }
  ASSIGN_OR_RETURN(fabric.follow_key, ReadKey(order.follow_key()));
  ASSIGN_OR_RETURN(fabric.use_key, ReadKey(order.use_key()));
  return std::optional(std::move(fabric));
}

}  // namespace

Status HostNodes::LoadFabric() {
  const std::string path = PathIn(config_.state_dir);
  if (!config_.underlay.has_value() || !PathExists(path)) return Ok();
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kFileBytesMax));
  const std::lock_guard lock(fabric_mutex_);
  if (fabric_.ParseFromString(text) && ReadOrder(fabric_, config_).ok()) return Ok();
  // Until a master says it again nothing passes to other hosts.
  LOG_WARNING(path + " cannot be read and is not used");
  fabric_.Clear();
  return Ok();
}

Result<std::optional<net::DesiredFabric>> HostNodes::DesiredFabric() {
  const std::lock_guard lock(fabric_mutex_);
  return ReadOrder(fabric_, config_);
}

Status HostNodes::SetFabric(const host::v1::FabricOrder& order) {
  RETURN_IF_ERROR(ReadOrder(order, config_), "an order of the fabric");
  if (order.prefix().empty()) {
    RETURN_IF_ERROR(ForgetFabric());
  } else {
    RETURN_IF_ERROR(
        WriteFileAtomically(PathIn(config_.state_dir), order.SerializeAsString(), 0600));
  }
  {
    const std::lock_guard lock(fabric_mutex_);
    fabric_ = order;
  }
  return UpdateNetwork();
}

Status HostNodes::ForgetFabric() {
  const std::string path = PathIn(config_.state_dir);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Errno("unlink " + path);
  return Ok();
}

host::v1::FabricOrder HostNodes::FabricOrdered() {
  const std::lock_guard lock(fabric_mutex_);
  return fabric_;
}

Result<host::v1::FabricPart> HostNodes::FabricPart() {
  ASSIGN_OR_RETURN(const net::FabricKeys keys, network_->KeysOfFabric());
  host::v1::FabricPart part;
  part.set_key(keys.key.ToString());
  if (keys.next_key) part.set_next_key(keys.next_key->ToString());
  if (keys.session) part.set_session(keys.session->ToString());
  if (config_.fabric_endpoint) part.set_endpoint(config_.fabric_endpoint->ToString());
  return part;
}

}  // namespace strata::vcluster
