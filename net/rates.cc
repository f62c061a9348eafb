// What limits a node's rate: a token bucket (tc-tbf(8)) at the host's end of its veth for what it
// receives. What it sends arrives there, where nothing can be queued: it is redirected to an ifb
// device of the node's own, its shaper, which sends it back through a bucket of the same rate.
// Policing would drop instead of queue, and TCP then stays far below the rate.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if.h>

#include <algorithm>

#include "net/changes.h"

namespace strata::net {
namespace {

// A bucket holds 10 ms of its rate, but at least a jumbo frame; what is larger is segmented. Then
// up to 50 ms wait: more would be delay, less would not let TCP keep the rate.
constexpr uint64_t kBurstsPerSecond = 100;
constexpr uint64_t kBurstBytesMin = 16 << 10;
constexpr uint64_t kQueuesPerSecond = 20;
constexpr uint64_t kQueueBytesMin = 32 << 10;
constexpr uint64_t kBytesMax = 256 << 20;

constexpr uint32_t kRootHandle = 0x10000;
constexpr uint32_t kIngressHandle = TC_H_MAJ(TC_H_INGRESS);
constexpr uint32_t kFirstPriority = 1 << 16;

tcmsg Of(int index, uint32_t handle, uint32_t parent, uint32_t info = 0) {
  return {.tcm_family = AF_UNSPEC,
          .tcm_ifindex = index,
          .tcm_handle = handle,
          .tcm_parent = parent,
          .tcm_info = info};
}

Status AddBucket(nl_sock* socket, int index, uint64_t bits_per_s) {
  const uint64_t rate = bits_per_s / 8;
  const uint64_t burst = std::clamp(rate / kBurstsPerSecond, kBurstBytesMin, kBytesMax);
  const uint64_t queue = std::clamp(rate / kQueuesPerSecond, kQueueBytesMin, kBytesMax);
  tc_tbf_qopt bucket = {};
  bucket.rate.rate = static_cast<uint32_t>(std::min<uint64_t>(rate, UINT32_MAX));
  bucket.rate.linklayer = TC_LINKLAYER_ETHERNET;
  bucket.limit = static_cast<uint32_t>(burst + queue);
  Owned<nl_msg> message =
      NewMessage(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, Of(index, kRootHandle, TC_H_ROOT));
  nla_put_string(message.get(), TCA_KIND, "tbf");
  {
    const Nested options(message, TCA_OPTIONS);
    nla_put(message.get(), TCA_TBF_PARMS, sizeof(bucket), &bucket);
    nla_put_u32(message.get(), TCA_TBF_BURST, static_cast<uint32_t>(burst));
    if (rate > UINT32_MAX) nla_put_u64(message.get(), TCA_TBF_RATE64, rate);
  }
  return Send(socket, std::move(message), "token bucket");
}

Status AddShaper(nl_sock* socket, const std::string& name) {
  Owned<nl_msg> message =
      NewMessage(RTM_NEWLINK, NLM_F_CREATE, ifinfomsg{.ifi_flags = IFF_UP, .ifi_change = IFF_UP});
  nla_put_string(message.get(), IFLA_IFNAME, name.c_str());
  {
    const Nested info(message, IFLA_LINKINFO);
    nla_put_string(message.get(), IFLA_INFO_KIND, "ifb");
  }
  return Send(socket, std::move(message), "create " + name);
}

Status AddIngress(nl_sock* socket, int index) {
  Owned<nl_msg> message =
      NewMessage(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, Of(index, kIngressHandle, TC_H_INGRESS));
  nla_put_string(message.get(), TCA_KIND, "ingress");
  return Send(socket, std::move(message), "ingress");
}

// A filter without keys takes everything.
Status AddRedirect(nl_sock* socket, int index, int shaper) {
  tc_u32_sel selector = {};
  selector.flags = TC_U32_TERMINAL;
  tc_mirred redirect = {};
  redirect.eaction = TCA_EGRESS_REDIR;
  redirect.action = TC_ACT_STOLEN;
  redirect.ifindex = static_cast<uint32_t>(shaper);
  Owned<nl_msg> message =
      NewMessage(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL,
                 Of(index, 0, kIngressHandle, kFirstPriority | htons(ETH_P_ALL)));
  nla_put_string(message.get(), TCA_KIND, "u32");
  {
    const Nested options(message, TCA_OPTIONS);
    nla_put(message.get(), TCA_U32_SEL, sizeof(selector), &selector);
    const Nested actions(message, TCA_U32_ACT);
    const Nested first(message, 1);
    nla_put_string(message.get(), TCA_ACT_KIND, "mirred");
    const Nested action(message, TCA_ACT_OPTIONS);
    nla_put(message.get(), TCA_MIRRED_PARMS, sizeof(redirect), &redirect);
  }
  return Send(socket, std::move(message), "redirection");
}

Status RemoveQdisc(nl_sock* socket, int index, uint32_t parent) {
  return Send(socket, NewMessage(RTM_DELQDISC, 0, Of(index, 0, parent)), "default queue",
              {NLE_OBJ_NOTFOUND});
}

// The veth's bucket goes first and comes last: where it is, all of it is.
Status TrySetRate(nl_sock* socket, int index, const Veth& veth) {
  const std::string shaper = SiblingName(veth.name, LinkKind::kShaper);
  RETURN_IF_ERROR(RemoveQdisc(socket, index, TC_H_ROOT));
  RETURN_IF_ERROR(RemoveQdisc(socket, index, TC_H_INGRESS));
  if (veth.bits_per_s_max == 0) return RemoveLinks(socket, {shaper});
  RETURN_IF_ERROR(AddShaper(socket, shaper));
  ASSIGN_OR_RETURN(const int shaper_index, LinkIndex(shaper));
  RETURN_IF_ERROR(AddBucket(socket, shaper_index, veth.bits_per_s_max));
  RETURN_IF_ERROR(AddIngress(socket, index));
  RETURN_IF_ERROR(AddRedirect(socket, index, shaper_index));
  return AddBucket(socket, index, veth.bits_per_s_max);
}

}  // namespace

Status SetRate(nl_sock* socket, const Veth& veth) {
  if (const auto index = LinkIndex(veth.name); index.ok()) {
    const Status set = TrySetRate(socket, *index, veth);
    if (set.ok()) return Ok();
    if (LinkIndex(veth.name).ok()) {
      return set.error().Wrap("limit the rate of " + veth.name +
                              " (the kernel needs sch_tbf, sch_ingress, cls_u32, act_mirred, ifb)");
    }
  }
  return RemoveLinks(socket, {SiblingName(veth.name, LinkKind::kShaper)});
}

}  // namespace strata::net
