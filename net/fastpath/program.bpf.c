// Runs in the kernel for every frame that the host's end of a node's veth, or a tunnel, receives
// (tcx ingress). A frame of IPv4 that a node sends as itself to a node of its Vcluster is handed to
// that node's own end of its veth, or to the tunnel, which knows the host; so are those that a
// tunnel brings. Whatever else it is, and whatever is not in the maps, goes on to the bridge as if
// this were not here.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "net/fastpath/maps.h"

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, kFastSourcesMax);
  __type(key, __u32);
  __type(value, struct FastSource);
} sources SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, kFastWaysMax);
  __type(key, struct FastNode);
  __type(value, struct FastWay);
} ways SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, kFastCounts);
  __type(key, __u32);
  __type(value, __u64);
} counts SEC(".maps");

// The kernel's functions that are called. Not those of bpf_helpers.h, constant pointers: gcc keeps a
// pointer that is used twice in a register, and BPF has no call of a register.
#ifdef __clang__
#define KERNEL_FUNCTION(result, name, number, ...) \
  static result (*const name)(__VA_ARGS__) = (void*)(number)
#else
#define KERNEL_FUNCTION(result, name, number, ...) \
  result name(__VA_ARGS__) __attribute__((kernel_helper(number)))
#endif
KERNEL_FUNCTION(void*, Lookup, BPF_FUNC_map_lookup_elem, void* map, const void* key);
KERNEL_FUNCTION(long, LoadBytes, BPF_FUNC_skb_load_bytes, const void* frame, __u32 offset,
                void* to, __u32 size);
KERNEL_FUNCTION(long, Redirect, BPF_FUNC_redirect, __u32 link, __u64 flags);
KERNEL_FUNCTION(long, RedirectPeer, BPF_FUNC_redirect_peer, __u32 link, __u64 flags);

struct Headers {
  struct ethhdr ethernet;
  struct iphdr ip;
} __attribute__((packed));

static __always_inline void Count(__u32 what) {
  __u64* const count = Lookup(&counts, &what);
  if (count) ++*count;
}

static __always_inline int IsOwn(const __u8* mac, const struct FastSource* source) {
  int differ = 0;
  for (int i = 0; i < ETH_ALEN; ++i) differ |= mac[i] ^ source->mac[i];
  return !differ;
}

// The verdict "unspecified": the next program of this link, or what follows without any. Volatile:
// gcc would read two fields at once, which the kernel does not take.
SEC("tc")
int strata_fastpath(volatile struct __sk_buff* frame) {
  const __u32 link = frame->ifindex;
  const struct FastSource* const source = Lookup(&sources, &link);
  if (!source) return TC_ACT_UNSPEC;
  if (frame->vlan_present || frame->protocol != bpf_htons(ETH_P_IP)) return TC_ACT_UNSPEC;
  struct Headers headers;
  if (LoadBytes((void*)frame, 0, &headers, sizeof(headers)) != 0) return TC_ACT_UNSPEC;
  if (!source->is_tunnel &&
      (headers.ip.saddr != source->address || !IsOwn(headers.ethernet.h_source, source))) {
    return TC_ACT_UNSPEC;
  }
  struct FastNode node = {.network = source->network};
  for (int i = 0; i < ETH_ALEN; ++i) node.mac[i] = headers.ethernet.h_dest[i];
  const struct FastWay* const way = Lookup(&ways, &node);
  // As the bridge: nothing leaves where it came in.
  if (!way || way->link == link) return TC_ACT_UNSPEC;
  if (way->is_tunnel) {
    if (source->is_tunnel) return TC_ACT_UNSPEC;
    Count(kFastSent);
    return (int)Redirect(way->link, 0);
  }
  Count(source->is_tunnel ? kFastReceived : kFastWithinHost);
  return (int)RedirectPeer(way->link, 0);
}

char _license[] SEC("license") = "GPL";
