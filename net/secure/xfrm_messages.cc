#include "net/secure/xfrm_messages.h"

#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

namespace strata::net {
namespace {

constexpr char kAlgorithm[] = "rfc4106(gcm(aes))";
constexpr uint32_t kTagBits = 128;
// Packets that came late are taken up to so many behind the latest.
constexpr uint32_t kReplayWindow = 256;

xfrm_address_t ToXfrm(Ipv4 address) {
  xfrm_address_t result = {};
  result.a4 = htonl(address.value);
  return result;
}

Ipv4 FromXfrm(const xfrm_address_t& address) { return {ntohl(address.a4)}; }

xfrm_selector SelectorOf(const EspWay& way) {
  xfrm_selector selector = {};
  selector.saddr = ToXfrm(way.inner_source);
  selector.daddr = ToXfrm(way.inner_destination);
  selector.prefixlen_s = 32;
  selector.prefixlen_d = 32;
  selector.family = AF_INET;
  return selector;
}

bool IsOneToOne(const xfrm_selector& selector) {
  return selector.family == AF_INET && selector.prefixlen_s == 32 && selector.prefixlen_d == 32 &&
         selector.proto == 0 && selector.sport_mask == 0 && selector.dport_mask == 0;
}

xfrm_lifetime_cfg Forever() {
  xfrm_lifetime_cfg lifetime = {};
  lifetime.soft_byte_limit = lifetime.hard_byte_limit = XFRM_INF;
  lifetime.soft_packet_limit = lifetime.hard_packet_limit = XFRM_INF;
  return lifetime;
}

template <typename T>
bool ReadAs(const nlattr* attribute, T* value) {
  if (attribute == nullptr || nla_len(attribute) < static_cast<int>(sizeof(T))) return false;
  std::memcpy(value, nla_data(attribute), sizeof(T));
  return true;
}

// Of a message with `Header`, that is of the interface.
template <typename Header>
bool Parse(uint32_t if_id, nlmsghdr* message, int type, Header* header,
           nlattr* (&table)[XFRMA_MAX + 1]) {
  uint32_t number = 0;
  if (message->nlmsg_type != type || nlmsg_datalen(message) < static_cast<int>(sizeof(Header)) ||
      nlmsg_parse(message, sizeof(Header), table, XFRMA_MAX, nullptr) != 0 ||
      !ReadAs(table[XFRMA_IF_ID], &number) || number != if_id) {
    return false;
  }
  std::memcpy(header, nlmsg_data(message), sizeof(Header));
  return true;
}

// What the header describes stands behind it.
template <typename Header>
void PutWithTail(const Owned<nl_msg>& message, int type, const Header& header, const uint8_t* tail,
                 size_t tail_size) {
  nlattr* const attribute =
      nla_reserve(message.get(), type, static_cast<int>(sizeof(header) + tail_size));
  CHECK(attribute != nullptr);
  auto* const data = static_cast<char*>(nla_data(attribute));
  std::memcpy(data, &header, sizeof(header));
  std::memcpy(data + sizeof(header), tail, tail_size);
}

// False unless it is the algorithm and a key of its size.
bool ReadAlgorithm(const nlattr* attribute, EspKey* key) {
  xfrm_algo_aead algorithm;
  EspKey::Bytes bytes;
  if (!ReadAs(attribute, &algorithm) || algorithm.alg_key_len != bytes.size() * 8 ||
      algorithm.alg_icv_len != kTagBits ||
      nla_len(attribute) < static_cast<int>(sizeof(algorithm) + bytes.size()) ||
      std::strncmp(algorithm.alg_name, kAlgorithm, sizeof(algorithm.alg_name)) != 0) {
    return false;
  }
  std::memcpy(bytes.data(), static_cast<const char*>(nla_data(attribute)) + sizeof(algorithm),
              bytes.size());
  *key = EspKey(bytes);
  return true;
}

Owned<nl_msg> NewDump(int type) {
  Owned<nl_msg> message(nlmsg_alloc_simple(type, NLM_F_DUMP));
  CHECK(message != nullptr);
  return message;
}

}  // namespace

Owned<nl_msg> NewEspState(uint32_t if_id, const EspState& state) {
  xfrm_usersa_info info = {};
  info.sel = SelectorOf(state.way);
  info.id.daddr = ToXfrm(state.way.destination);
  info.id.spi = htonl(state.spi);
  info.id.proto = IPPROTO_ESP;
  info.saddr = ToXfrm(state.way.source);
  info.lft = Forever();
  info.family = AF_INET;
  info.mode = XFRM_MODE_TUNNEL;
  info.flags = XFRM_STATE_ESN;  // Counters of 64 bits (RFC 4304): 32 last an hour at a fast pace.
  Owned<nl_msg> message = NewMessage(XFRM_MSG_NEWSA, 0, info);
  xfrm_algo_aead algorithm = {};
  std::memcpy(algorithm.alg_name, kAlgorithm, sizeof(kAlgorithm));
  algorithm.alg_key_len = EspKey::kBytes * 8;
  algorithm.alg_icv_len = kTagBits;
  PutWithTail(message, XFRMA_ALG_AEAD, algorithm, state.key.bytes().data(), EspKey::kBytes);
  xfrm_replay_state_esn replay = {};
  replay.bmp_len = kReplayWindow / 32;
  replay.replay_window = kReplayWindow;
  const std::array<uint8_t, kReplayWindow / 8> nothing_seen{};
  PutWithTail(message, XFRMA_REPLAY_ESN_VAL, replay, nothing_seen.data(), nothing_seen.size());
  nla_put_u32(message.get(), XFRMA_IF_ID, if_id);
  return message;
}

Owned<nl_msg> NewEspStateRemoval(const EspState& state) {
  xfrm_usersa_id id = {};
  id.daddr = ToXfrm(state.way.destination);
  id.spi = htonl(state.spi);
  id.family = AF_INET;
  id.proto = IPPROTO_ESP;
  return NewMessage(XFRM_MSG_DELSA, 0, id);
}

Owned<nl_msg> NewEspPolicy(uint32_t if_id, const EspPolicy& policy) {
  xfrm_userpolicy_info info = {};
  info.sel = SelectorOf(policy.way);
  info.lft = Forever();
  info.dir = policy.out ? XFRM_POLICY_OUT : XFRM_POLICY_IN;
  info.action = XFRM_POLICY_ALLOW;
  // Sets it anew where it is there.
  Owned<nl_msg> message = NewMessage(XFRM_MSG_UPDPOLICY, 0, info);
  xfrm_user_tmpl by = {};
  by.id.daddr = ToXfrm(policy.way.destination);
  by.id.spi = htonl(policy.spi);
  by.id.proto = IPPROTO_ESP;
  by.family = AF_INET;
  by.saddr = ToXfrm(policy.way.source);
  by.mode = XFRM_MODE_TUNNEL;
  by.aalgos = by.ealgos = by.calgos = ~0u;
  nla_put(message.get(), XFRMA_TMPL, sizeof(by), &by);
  nla_put_u32(message.get(), XFRMA_IF_ID, if_id);
  return message;
}

Owned<nl_msg> NewEspPolicyRemoval(uint32_t if_id, const EspPolicy& policy) {
  xfrm_userpolicy_id id = {};
  id.sel = SelectorOf(policy.way);
  id.dir = policy.out ? XFRM_POLICY_OUT : XFRM_POLICY_IN;
  Owned<nl_msg> message = NewMessage(XFRM_MSG_DELPOLICY, 0, id);
  nla_put_u32(message.get(), XFRMA_IF_ID, if_id);
  return message;
}

Owned<nl_msg> NewEspStatesRequest() { return NewDump(XFRM_MSG_GETSA); }
Owned<nl_msg> NewEspPoliciesRequest() { return NewDump(XFRM_MSG_GETPOLICY); }

std::optional<EspState> ReadEspState(uint32_t if_id, nlmsghdr* message) {
  xfrm_usersa_info info;
  nlattr* table[XFRMA_MAX + 1];
  if (!Parse(if_id, message, XFRM_MSG_NEWSA, &info, table) || info.family != AF_INET) {
    return std::nullopt;
  }
  EspState state;
  state.way = {FromXfrm(info.saddr), FromXfrm(info.id.daddr), FromXfrm(info.sel.saddr),
               FromXfrm(info.sel.daddr)};
  state.spi = ntohl(info.id.spi);
  state.is_ours = info.id.proto == IPPROTO_ESP && info.mode == XFRM_MODE_TUNNEL &&
                  (info.flags & XFRM_STATE_ESN) != 0 && IsOneToOne(info.sel) &&
                  ReadAlgorithm(table[XFRMA_ALG_AEAD], &state.key);
  return state;
}

std::optional<EspPolicy> ReadEspPolicy(uint32_t if_id, nlmsghdr* message) {
  xfrm_userpolicy_info info;
  nlattr* table[XFRMA_MAX + 1];
  if (!Parse(if_id, message, XFRM_MSG_NEWPOLICY, &info, table) || info.dir > XFRM_POLICY_OUT ||
      !IsOneToOne(info.sel)) {
    return std::nullopt;
  }
  EspPolicy policy;
  policy.out = info.dir == XFRM_POLICY_OUT;
  policy.way.inner_source = FromXfrm(info.sel.saddr);
  policy.way.inner_destination = FromXfrm(info.sel.daddr);
  // What is otherwise than ours has no addresses below, and is set anew.
  xfrm_user_tmpl by;
  if (info.action == XFRM_POLICY_ALLOW && ReadAs(table[XFRMA_TMPL], &by) &&
      nla_len(table[XFRMA_TMPL]) == sizeof(by) && by.id.proto == IPPROTO_ESP &&
      by.mode == XFRM_MODE_TUNNEL && by.optional == 0) {
    policy.way.source = FromXfrm(by.saddr);
    policy.way.destination = FromXfrm(by.id.daddr);
    policy.spi = ntohl(by.id.spi);
  }
  return policy;
}

}  // namespace strata::net
