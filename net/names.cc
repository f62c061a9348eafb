#include "net/names.h"

#include <algorithm>

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

}  // namespace

std::string InstanceOf(std::string_view state_dir) {
  return Hasher::Of(state_dir).Hex().substr(0, kInstanceDigits);
}

std::string NamePrefix(std::string_view instance, LinkKind kind) {
  return "s" + std::string(instance) + static_cast<char>(kind);
}

bool IsNameOf(std::string_view name, std::string_view instance, LinkKind kind) {
  return name.starts_with(NamePrefix(instance, kind));
}

std::string SiblingName(std::string name, LinkKind kind) {
  name.at(1 + kInstanceDigits) = static_cast<char>(kind);
  return name;
}

std::string BridgeName(std::string_view instance, uint32_t cluster) {
  return NamePrefix(instance, LinkKind::kBridge) + Base36(cluster);
}

std::string VethName(std::string_view instance, uint32_t cluster, uint32_t node) {
  return NamePrefix(instance, LinkKind::kVeth) + Base36(cluster * 256 + node);
}

std::string FabricName(std::string_view instance) {
  return NamePrefix(instance, LinkKind::kFabric);
}

std::string TableName(std::string_view instance) { return kTablePrefix + std::string(instance); }

Mac MacFor(std::string_view seed) {
  const Digest digest = Hasher::Of(seed);
  Mac mac;
  std::copy_n(digest.bytes().begin(), mac.size(), mac.begin());
  mac[0] = static_cast<uint8_t>((mac[0] & 0xfc) | 0x02);
  return mac;
}

Mac MacForNode(uint32_t vni, Ipv4 address) {
  return MacFor("node " + std::to_string(vni) + " " + address.ToString());
}

Mac MacForGateway(uint32_t vni) { return MacFor("gateway " + std::to_string(vni)); }

Mac MacForHost(uint32_t vni, Ipv4 host) {
  return MacFor("host " + std::to_string(vni) + " " + host.ToString());
}

std::string ToString(const Mac& mac) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(17);
  for (const uint8_t byte : mac) {
    if (!text.empty()) text += ':';
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace strata::net
