// Two programs of the kernel (tcx ingress). One runs for every frame that the host's end of a
// node's veth, or a tunnel, receives: a frame of IPv4 that a node sends as itself to a node of its
// Vcluster is handed to that node's own end of its veth, or becomes a packet of VXLAN for its host;
// so are those that a tunnel brings. The other one runs for what the underlay brings, and takes
// such packets apart. Whatever else it is, and whatever is not in the maps, goes on as if this were
// not here: to the bridge, or to the kernel's VXLAN.
//
// This file may also be used by the licence of MIT or by the GPL, version 2: the kernel lets only
// such programs ask for routes.
#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>

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
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, kFastSendersMax);
  __type(key, struct FastSender);
  __type(value, __u32);
} senders SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, kFastCounts);
  __type(key, __u32);
  __type(value, __u64);
} counts SEC(".maps");

// The kernel's functions that are called. Not those of bpf_helpers.h, constant pointers: gcc keeps
// one that is used twice in a register, and BPF has no call of a register.
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
KERNEL_FUNCTION(long, StoreBytes, BPF_FUNC_skb_store_bytes, void* frame, __u32 offset,
                const void* from, __u32 size, __u64 flags);
KERNEL_FUNCTION(long, AdjustRoom, BPF_FUNC_skb_adjust_room, void* frame, __s32 difference,
                __u32 mode, __u64 flags);
KERNEL_FUNCTION(long, FindRoute, BPF_FUNC_fib_lookup, void* frame, struct bpf_fib_lookup* route,
                int size, __u32 flags);
KERNEL_FUNCTION(long, CheckMtu, BPF_FUNC_check_mtu, void* frame, __u32 link, __u32* mtu,
                __s32 difference, __u64 flags);
KERNEL_FUNCTION(__u32, Hash, BPF_FUNC_get_hash_recalc, void* frame);
KERNEL_FUNCTION(__u32, Random, BPF_FUNC_get_prandom_u32, void);
KERNEL_FUNCTION(long, Redirect, BPF_FUNC_redirect, __u32 link, __u64 flags);
KERNEL_FUNCTION(long, RedirectPeer, BPF_FUNC_redirect_peer, __u32 link, __u64 flags);

struct Headers {
  struct ethhdr ethernet;
  struct iphdr ip;
} __attribute__((packed));

// A frame in a packet of VXLAN (RFC 7348) in a frame of the underlay.
struct Wrapped {
  __u8 aligned[2];  // Not of the frame.
  struct ethhdr underlay;
  struct iphdr ip;
  struct udphdr udp;
  __u32 vxlan_flags;
  __u32 vni;
  struct ethhdr ethernet;
};
enum {
  kFamilyIpv4 = 2,
  kEcn = 3,
  kVxlanBytes = 8,
  // What is between the frame's own header of Ethernet and its payload.
  kRoom = sizeof(struct iphdr) + sizeof(struct udphdr) + kVxlanBytes + sizeof(struct ethhdr),
  kWrappedBytes = sizeof(struct ethhdr) + kRoom,
};
#define VXLAN_HAS_VNI bpf_htonl(0x08000000)
// Of a frame that is to be made a packet of VXLAN.
#define ROOM_OF_VXLAN                                                        \
  (BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |              \
   BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_ENCAP_L2(sizeof(struct ethhdr)))

static __always_inline void Count(__u32 what) {
  __u64* const count = Lookup(&counts, &what);
  if (count) ++*count;
}

// Without an initializer: gcc would compare pointers with a register that is 0 from it then, which
// the kernel does not take for a check.
static __always_inline void SetNode(__u32 network, const __u8* mac, struct FastNode* node) {
  node->network = network;
  for (int i = 0; i < ETH_ALEN; ++i) node->mac[i] = mac[i];
  node->padding[0] = node->padding[1] = 0;
}

static __always_inline int IsOwn(const __u8* mac, const struct FastSource* source) {
  int differ = 0;
  for (int i = 0; i < ETH_ALEN; ++i) differ |= mac[i] ^ source->mac[i];
  return !differ;
}

// Of a header without options; 0 for one that has its own.
static __always_inline __u16 ChecksumOf(const struct iphdr* ip) {
  const __u16* const words = (const __u16*)ip;
  __u32 sum = 0;
  for (unsigned i = 0; i < sizeof(*ip) / sizeof(*words); ++i) sum += words[i];
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (__u16)~sum;
}

// The kernel's VXLAN takes marks of a tunnel from a frame, Linux 6.18's program cannot: a frame of
// TCP with them is one that was unwrapped here, and sent on by the node. A NIC that makes segments
// of tunneled frames itself would spoil it. (For the kernel an interface error: no room for a
// header of Ethernet. It has asked before whether the frame is in a tunnel.)
static __always_inline int WasUnwrapped(volatile struct __sk_buff* frame,
                                        const struct Headers* headers) {
  return headers->ip.protocol == IPPROTO_TCP &&
         AdjustRoom((void*)frame, 0, BPF_ADJ_ROOM_MAC, ROOM_OF_VXLAN) == -EALREADY;
}

static __always_inline int DropSentOn(const struct FastSource* source) {
  struct FastNode node;
  SetNode(source->network, source->mac, &node);
  struct FastWay* const way = Lookup(&ways, &node);
  if (way) way->sends_on = 1;
  Count(kFastSentOn);
  return TC_ACT_SHOT;
}

// TC_ACT_UNSPEC: the tunnel shall do it.
static __always_inline int Wrap(volatile struct __sk_buff* frame, const struct Headers* headers,
                                const struct FastWay* way) {
  __u32 mtu = 0;
  struct bpf_fib_lookup route = {.family = kFamilyIpv4, .l4_protocol = IPPROTO_UDP};
  route.ifindex = frame->ifindex;
  route.ipv4_src = way->local;
  route.ipv4_dst = way->host;
  if (frame->len > 0xffff - kRoom ||
      CheckMtu((void*)frame, way->link, &mtu, 0, BPF_MTU_CHK_SEGS) != 0 ||
      FindRoute((void*)frame, &route, sizeof(route), 0) != BPF_FIB_LKUP_RET_SUCCESS) {
    return TC_ACT_UNSPEC;
  }
  const __u32 hash = Hash((void*)frame);
  if (AdjustRoom((void*)frame, kRoom, BPF_ADJ_ROOM_MAC,
                 ROOM_OF_VXLAN | BPF_F_ADJ_ROOM_FIXED_GSO) != 0) {
    return TC_ACT_UNSPEC;
  }
  const __u32 length = frame->len - sizeof(struct ethhdr);
  const __u8 ecn = headers->ip.tos & kEcn;
  struct Wrapped head = {};
  for (int i = 0; i < ETH_ALEN; ++i) head.underlay.h_dest[i] = route.dmac[i];
  for (int i = 0; i < ETH_ALEN; ++i) head.underlay.h_source[i] = route.smac[i];
  head.underlay.h_proto = bpf_htons(ETH_P_IP);
  head.ip.version = 4;
  head.ip.ihl = 5;
  head.ip.tos = ecn == kEcn ? 2 : ecn;  // RFC 6040, section 4.1, compatibility mode as the kernel.
  head.ip.ttl = 64;
  head.ip.protocol = IPPROTO_UDP;
  head.ip.tot_len = bpf_htons((__u16)length);
  head.ip.id = (__u16)Random();
  head.ip.saddr = way->local;
  head.ip.daddr = way->host;
  head.ip.check = ChecksumOf(&head.ip);
  head.udp.source = bpf_htons((__u16)(0x8000 | ((hash ^ (hash >> 16)) & 0x7fff)));
  head.udp.dest = way->port;
  head.udp.len = bpf_htons((__u16)(length - sizeof(struct iphdr)));
  head.vxlan_flags = VXLAN_HAS_VNI;
  head.vni = way->vni;
  head.ethernet = headers->ethernet;
  if (StoreBytes((void*)frame, 0, &head.underlay, kWrappedBytes, 0) != 0) return TC_ACT_SHOT;
  Count(kFastWrapped);
  return (int)Redirect(route.ifindex, 0);
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
  struct FastNode node;
  SetNode(source->network, headers.ethernet.h_dest, &node);
  const struct FastWay* const way = Lookup(&ways, &node);
  // As the bridge: nothing leaves where it came in.
  if (way && way->link == link) return TC_ACT_UNSPEC;
  if (way && !way->is_tunnel) {
    Count(source->is_tunnel ? kFastReceived : kFastWithinHost);
    return (int)RedirectPeer(way->link, 0);
  }
  if (source->is_tunnel) return TC_ACT_UNSPEC;
  if (WasUnwrapped(frame, &headers)) return DropSentOn(source);
  if (!way) return TC_ACT_UNSPEC;
  if (way->host) {
    const int sent = Wrap(frame, &headers, way);
    if (sent != TC_ACT_UNSPEC) return sent;
  }
  Count(kFastSent);
  return (int)Redirect(way->link, 0);
}

// Fragments, what has a checksum of UDP (programs like this one send none), and what has met
// congestion, which the node's packet has to say then, are the kernel's.
static __always_inline int IsPlain(const struct Wrapped* head) {
  return head->ip.version == 4 && head->ip.ihl == 5 && head->ip.protocol == IPPROTO_UDP &&
         (head->ip.frag_off & bpf_htons(0x3fff)) == 0 && (head->ip.tos & kEcn) != kEcn &&
         head->udp.check == 0 && head->vxlan_flags == VXLAN_HAS_VNI &&
         head->ethernet.h_proto == bpf_htons(ETH_P_IP);
}

SEC("tc")
int strata_underlay(volatile struct __sk_buff* frame) {
  if (frame->protocol != bpf_htons(ETH_P_IP) || frame->vlan_present ||
      frame->pkt_type != PACKET_HOST) {
    return TC_ACT_UNSPEC;
  }
  struct Wrapped head;
  if (LoadBytes((void*)frame, 0, &head.underlay, kWrappedBytes) != 0) return TC_ACT_UNSPEC;
  if (!IsPlain(&head) || ChecksumOf(&head.ip) != 0) return TC_ACT_UNSPEC;
  const struct FastSender sender = {.host = head.ip.saddr,
                                    .local = head.ip.daddr,
                                    .vni = head.vni & bpf_htonl(0xffffff00),
                                    .port = head.udp.dest};
  const __u32* const network = Lookup(&senders, &sender);
  if (!network) return TC_ACT_UNSPEC;
  struct FastNode node;
  SetNode(*network, head.ethernet.h_dest, &node);
  const struct FastWay* const way = Lookup(&ways, &node);
  if (!way || way->is_tunnel || way->sends_on) return TC_ACT_UNSPEC;
  const __u32 link = way->link;
  if (AdjustRoom((void*)frame, -kRoom, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) != 0) {
    return TC_ACT_UNSPEC;
  }
  if (StoreBytes((void*)frame, 0, &head.ethernet, sizeof(head.ethernet), 0) != 0) {
    return TC_ACT_SHOT;
  }
  Count(kFastUnwrapped);
  return (int)RedirectPeer(link, 0);
}

char _license[] SEC("license") = "Dual MIT/GPL";
