#include "net/secure/wireguard_messages.h"

#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <optional>

namespace strata::net {
namespace {

// As the kernel's __kernel_timespec.
struct KernelTime {
  int64_t seconds;
  int64_t nanoseconds;
};

Owned<nl_msg> NewCommand(uint16_t family, uint8_t command, int flags, const std::string& name) {
  Owned<nl_msg> message = NewMessage(
      family, flags, genlmsghdr{.cmd = command, .version = WG_GENL_VERSION, .reserved = 0});
  nla_put_string(message.get(), WGDEVICE_A_IFNAME, name.c_str());
  return message;
}

void PutKey(const Owned<nl_msg>& message, int type, const KeyBytes& bytes) {
  nla_put(message.get(), type, bytes.size(), bytes.data());
}

void PutEndpoint(const Owned<nl_msg>& message, const Endpoint& endpoint) {
  if (endpoint.is_ipv6) {
    sockaddr_in6 address = {};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(endpoint.port);
    std::memcpy(&address.sin6_addr, endpoint.address.data(), sizeof(address.sin6_addr));
    nla_put(message.get(), WGPEER_A_ENDPOINT, sizeof(address), &address);
  } else {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    std::memcpy(&address.sin_addr, endpoint.address.data(), sizeof(address.sin_addr));
    nla_put(message.get(), WGPEER_A_ENDPOINT, sizeof(address), &address);
  }
}

void PutAllowed(const Owned<nl_msg>& message, const std::vector<Ipv4Prefix>& allowed) {
  const Nested list(message, WGPEER_A_ALLOWEDIPS);
  for (const Ipv4Prefix& prefix : allowed) {
    const Nested one(message, 0);
    const uint32_t address = htonl(prefix.base.value);
    nla_put_u16(message.get(), WGALLOWEDIP_A_FAMILY, AF_INET);
    nla_put(message.get(), WGALLOWEDIP_A_IPADDR, sizeof(address), &address);
    nla_put_u8(message.get(), WGALLOWEDIP_A_CIDR_MASK, static_cast<uint8_t>(prefix.length));
  }
}

template <typename T>
bool ReadAs(const nlattr* attribute, T* value) {
  if (attribute == nullptr || nla_len(attribute) < static_cast<int>(sizeof(T))) return false;
  std::memcpy(value, nla_data(attribute), sizeof(T));
  return true;
}

std::optional<Endpoint> ReadEndpoint(const nlattr* attribute) {
  Endpoint endpoint;
  uint16_t family = 0;
  if (!ReadAs(attribute, &family)) return std::nullopt;
  if (sockaddr_in v4; family == AF_INET && ReadAs(attribute, &v4)) {
    std::memcpy(endpoint.address.data(), &v4.sin_addr, sizeof(v4.sin_addr));
    endpoint.port = ntohs(v4.sin_port);
    return endpoint;
  }
  if (sockaddr_in6 v6; family == AF_INET6 && ReadAs(attribute, &v6)) {
    endpoint.is_ipv6 = true;
    std::memcpy(endpoint.address.data(), &v6.sin6_addr, sizeof(v6.sin6_addr));
    endpoint.port = ntohs(v6.sin6_port);
    return endpoint;
  }
  return std::nullopt;
}

bool AddAllowed(nlattr* list, ObservedPeer* peer) {
  nlattr* entry;
  int left;
  nla_for_each_nested(entry, list, left) {
    nlattr* table[WGALLOWEDIP_A_MAX + 1];
    uint16_t family = 0;
    uint8_t length = 0;
    uint32_t address = 0;
    if (nla_parse_nested(table, WGALLOWEDIP_A_MAX, entry, nullptr) != 0 ||
        !ReadAs(table[WGALLOWEDIP_A_FAMILY], &family) ||
        !ReadAs(table[WGALLOWEDIP_A_CIDR_MASK], &length)) {
      return false;
    }
    if (family != AF_INET) {
      peer->allows_ipv6 = true;
      continue;
    }
    if (length > 32 || !ReadAs(table[WGALLOWEDIP_A_IPADDR], &address)) return false;
    peer->allowed.push_back({{ntohl(address)}, length});
  }
  return true;
}

bool AddPeer(nlattr* nest, ObservedDevice* device) {
  nlattr* table[WGPEER_A_MAX + 1];
  PublicKey key;
  if (nla_parse_nested(table, WGPEER_A_MAX, nest, nullptr) != 0 ||
      !ReadAs(table[WGPEER_A_PUBLIC_KEY], &key.bytes)) {
    return false;
  }
  // What did not fit into the message before goes on with the key, and the rest of the addresses.
  if (device->peers.empty() || device->peers.back().key != key) {
    device->peers.emplace_back().key = key;
  }
  ObservedPeer& peer = device->peers.back();
  KeyBytes preshared;
  if (ReadAs(table[WGPEER_A_PRESHARED_KEY], &preshared)) peer.preshared = SecretKey(preshared);
  if (table[WGPEER_A_ENDPOINT] != nullptr) peer.endpoint = ReadEndpoint(table[WGPEER_A_ENDPOINT]);
  ReadAs(table[WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL], &peer.keepalive_s);
  if (KernelTime time; ReadAs(table[WGPEER_A_LAST_HANDSHAKE_TIME], &time)) {
    // Within what nanoseconds can tell.
    constexpr int64_t kSecondsMax = int64_t{200} * 365 * 86400;
    peer.last_handshake =
        std::chrono::seconds(std::clamp<int64_t>(time.seconds, 0, kSecondsMax)) +
        std::chrono::nanoseconds(std::clamp<int64_t>(time.nanoseconds, 0, 999'999'999));
  }
  ReadAs(table[WGPEER_A_RX_BYTES], &peer.received_bytes);
  ReadAs(table[WGPEER_A_TX_BYTES], &peer.sent_bytes);
  return table[WGPEER_A_ALLOWEDIPS] == nullptr || AddAllowed(table[WGPEER_A_ALLOWEDIPS], &peer);
}

}  // namespace

Owned<nl_msg> NewFamilyRequest(const std::string& family) {
  Owned<nl_msg> message = NewMessage(
      GENL_ID_CTRL, 0, genlmsghdr{.cmd = CTRL_CMD_GETFAMILY, .version = 1, .reserved = 0});
  nla_put_string(message.get(), CTRL_ATTR_FAMILY_NAME, family.c_str());
  return message;
}

uint16_t ReadFamily(nlmsghdr* answer) {
  uint16_t number = 0;
  if (answer->nlmsg_type == GENL_ID_CTRL) {
    ReadAs(nlmsg_find_attr(answer, sizeof(genlmsghdr), CTRL_ATTR_FAMILY_ID), &number);
  }
  return number;
}

Owned<nl_msg> NewDeviceRequest(uint16_t family, const std::string& name) {
  return NewCommand(family, WG_CMD_GET_DEVICE, NLM_F_DUMP, name);
}

bool AddDeviceMessage(nlmsghdr* message, ObservedDevice* device) {
  nlattr* table[WGDEVICE_A_MAX + 1];
  if (nlmsg_parse(message, sizeof(genlmsghdr), table, WGDEVICE_A_MAX, nullptr) != 0) return false;
  KeyBytes key;
  if (ReadAs(table[WGDEVICE_A_PRIVATE_KEY], &key)) device->key = SecretKey(key);
  ReadAs(table[WGDEVICE_A_LISTEN_PORT], &device->port);
  if (table[WGDEVICE_A_PEERS] == nullptr) return true;
  nlattr* peer;
  int left;
  nla_for_each_nested(peer, table[WGDEVICE_A_PEERS], left) {
    if (!AddPeer(peer, device)) return false;
  }
  return true;
}

Owned<nl_msg> NewDeviceSettings(uint16_t family, const std::string& name,
                                const DeviceChange& change) {
  Owned<nl_msg> message = NewCommand(family, WG_CMD_SET_DEVICE, 0, name);
  if (change.key) PutKey(message, WGDEVICE_A_PRIVATE_KEY, change.key->bytes());
  if (change.port) nla_put_u16(message.get(), WGDEVICE_A_LISTEN_PORT, *change.port);
  return message;
}

Owned<nl_msg> NewPeerRemoval(uint16_t family, const std::string& name, const PublicKey& key) {
  Owned<nl_msg> message = NewCommand(family, WG_CMD_SET_DEVICE, 0, name);
  {
    const Nested peers(message, WGDEVICE_A_PEERS);
    const Nested entry(message, 0);
    PutKey(message, WGPEER_A_PUBLIC_KEY, key.bytes);
    nla_put_u32(message.get(), WGPEER_A_FLAGS, WGPEER_F_REMOVE_ME);
  }
  return message;
}

Owned<nl_msg> NewPeerSettings(uint16_t family, const std::string& name, const PeerSettings& peer) {
  Owned<nl_msg> message = NewCommand(family, WG_CMD_SET_DEVICE, 0, name);
  {
    const Nested peers(message, WGDEVICE_A_PEERS);
    const Nested entry(message, 0);
    PutKey(message, WGPEER_A_PUBLIC_KEY, peer.key.bytes);
    nla_put_u32(message.get(), WGPEER_A_FLAGS, WGPEER_F_REPLACE_ALLOWEDIPS);
    PutKey(message, WGPEER_A_PRESHARED_KEY, peer.preshared.bytes());
    if (peer.endpoint) PutEndpoint(message, *peer.endpoint);
    nla_put_u16(message.get(), WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, peer.keepalive_s);
    PutAllowed(message, peer.allowed);
  }
  return message;
}

}  // namespace strata::net
