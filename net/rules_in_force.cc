#include "net/rules_in_force.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "common/subprocess.h"
#include "net/netlink.h"

namespace strata::net {
namespace {

constexpr std::chrono::seconds kNftTimeout(20);

Result<uint32_t> Generation() {
  ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink(NETLINK_NETFILTER));
  const nfgenmsg header = {AF_UNSPEC, NFNETLINK_V0, 0};
  std::optional<uint32_t> generation;
  RETURN_IF_ERROR(
      Ask(socket.get(), NewMessage((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN, 0, header),
          "generation of nftables", [&](nlmsghdr* answer) {
            const nlattr* number = nlmsg_find_attr(answer, sizeof(nfgenmsg), NFTA_GEN_ID);
            if (number != nullptr && nla_len(number) >= 4) {
              generation = ntohl(nla_get_u32(number));
            }
          }));
  if (!generation) return Error(Code::kInternal, "nftables does not tell its generation");
  return *generation;
}

}  // namespace

Status RulesInForce::Put(const std::string& ruleset) {
  const auto before = Generation();
  if (generation_ && before.ok() && *before == *generation_ && ruleset == ruleset_) return Ok();
  generation_.reset();
  RETURN_IF_ERROR(RunChecked({"nft", "-f", "-"}, ruleset, kNftTimeout));
  const auto after = Generation();
  // More than one step: others changed something, perhaps ours, perhaps after us.
  if (before.ok() && after.ok() && *after == *before + 1) {
    ruleset_ = ruleset;
    generation_ = *after;
  }
  return Ok();
}

}  // namespace strata::net
