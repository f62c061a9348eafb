#include "net/rule_counters.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <cstring>

#include "net/names.h"
#include "net/netlink.h"

namespace strata::net {
namespace {

uint64_t ReadNumber(const nlattr* attribute) {
  uint64_t number = 0;
  if (attribute == nullptr || nla_len(attribute) < static_cast<int>(sizeof(number))) return 0;
  std::memcpy(&number, nla_data(attribute), sizeof(number));
  return be64toh(number);
}

// The kernel gives the objects of the table that was asked for, of all kinds.
void ReadObject(nlmsghdr* message, const std::string& family, std::vector<RuleCounter>* counters) {
  nlattr* attributes[NFTA_OBJ_MAX + 1];
  if (nlmsg_parse(message, sizeof(nfgenmsg), attributes, NFTA_OBJ_MAX, nullptr) < 0) return;
  const nlattr* type = attributes[NFTA_OBJ_TYPE];
  const nlattr* name = attributes[NFTA_OBJ_NAME];
  nlattr* data = attributes[NFTA_OBJ_DATA];
  if (type == nullptr || name == nullptr || data == nullptr || nla_len(type) < 4 ||
      ntohl(nla_get_u32(type)) != NFT_OBJECT_COUNTER) {
    return;
  }
  nlattr* values[NFTA_COUNTER_MAX + 1];
  if (nla_parse_nested(values, NFTA_COUNTER_MAX, data, nullptr) < 0) return;
  const char* const text = static_cast<const char*>(nla_data(name));
  counters->push_back({family, std::string(text, ::strnlen(text, nla_len(name))),
                       ReadNumber(values[NFTA_COUNTER_PACKETS]),
                       ReadNumber(values[NFTA_COUNTER_BYTES])});
}

}  // namespace

Result<std::vector<RuleCounter>> ReadTableCounters(const std::string& family,
                                                   const std::string& table) {
  ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink(NETLINK_NETFILTER));
  const uint8_t number = family == "bridge" ? NFPROTO_BRIDGE
                         : family == "arp"  ? NFPROTO_ARP
                         : family == "ip"   ? NFPROTO_IPV4
                                            : NFPROTO_INET;
  Owned<nl_msg> request = NewMessage((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETOBJ, NLM_F_DUMP,
                                     nfgenmsg{number, NFNETLINK_V0, 0});
  nla_put_string(request.get(), NFTA_OBJ_TABLE, table.c_str());
  nla_put_u32(request.get(), NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
  std::vector<RuleCounter> counters;
  bool too_many = false;
  RETURN_IF_ERROR(Dump(socket.get(), request, "counters of " + table, [&](nlmsghdr* message) {
    too_many = too_many || counters.size() >= kCountersMax;
    if (!too_many) ReadObject(message, family, &counters);
  }));
  if (too_many) {
    return Error(Code::kResourceExhausted,
                 "table " + table + " has more than " + std::to_string(kCountersMax) + " counters");
  }
  std::sort(counters.begin(), counters.end(),
            [](const RuleCounter& a, const RuleCounter& b) { return a.name < b.name; });
  return counters;
}

Result<std::vector<RuleCounter>> ReadCounters(const std::string& instance) {
  const std::string table = TableName(instance);
  ASSIGN_OR_RETURN(std::vector<RuleCounter> counters, ReadTableCounters("inet", table));
  ASSIGN_OR_RETURN(const std::vector<RuleCounter> guard, ReadTableCounters("bridge", table));
  counters.insert(counters.end(), guard.begin(), guard.end());
  std::sort(counters.begin(), counters.end(),
            [](const RuleCounter& a, const RuleCounter& b) { return a.name < b.name; });
  return counters;
}

}  // namespace strata::net
