// Keys and values of the maps of net/fastpath/program.bpf.c, which the kernel's program and
// FastProgram share: C and C++. No padding that is not named, because maps compare bytes.
#pragma once

#include <linux/types.h>

// What has no room in them goes over the bridge.
enum { kFastSourcesMax = 1 << 14, kFastWaysMax = 1 << 16, kFastSendersMax = 1 << 16 };

// Map "sources", by the number of a link of the host: who sends what the link receives.
struct FastSource {
  __u32 network;    // Of the Vcluster.
  __u32 is_tunnel;  // Other hosts' nodes; the rest is 0 then.
  __u32 address;    // Of the node, in network order, and…
  __u8 mac[6];      // …its own.
  __u8 padding[2];
#ifdef __cplusplus
  bool operator==(const FastSource&) const = default;
#endif
};

// Map "ways": where the node is that has a MAC.
struct FastNode {
  __u32 network;
  __u8 mac[6];
  __u8 padding[2];
#ifdef __cplusplus
  auto operator<=>(const FastNode&) const = default;
#endif
};
struct FastWay {
  __u32 link;       // The host's end of its veth; or…
  __u32 is_tunnel;  // …of the tunnel to other hosts.
  // Of a tunnel, when packets are made for the underlay without it, all in network order; 0: not.
  __u32 host;   // The node's.
  __u32 local;  // This host's address.
  __u32 vni;    // As it stands in the header: in the upper 24 bits.
  __u16 port;   // Of UDP.
  // Written by the program, of a node of this host: it sends on what came from other hosts. Then
  // the kernel takes that out of its tunnel for it.
  __u16 sends_on;
#ifdef __cplusplus
  bool operator==(const FastWay&) const = default;
#endif
};

// Map "senders": whose packets are taken out of the underlay for the Vcluster that is the value,
// without the tunnel. In network order.
struct FastSender {
  __u32 host;
  __u32 local;  // This host's address.
  __u32 vni;    // As it stands in the header: in the upper 24 bits.
  __u16 port;
  __u16 padding;
#ifdef __cplusplus
  auto operator<=>(const FastSender&) const = default;
#endif
};

// Indices of map "counts": frames that took the fast path (after segmentation offloads: a frame may
// be of 64 KiB).
enum FastCount {
  kFastWithinHost,
  kFastSent,       // By a tunnel.
  kFastReceived,   // By a tunnel.
  kFastWrapped,    // For another host, without a tunnel.
  kFastUnwrapped,  // Of another host, without a tunnel.
  kFastSentOn,     // Dropped, once or a few times per node: see FastWay.sends_on.
  kFastCounts
};
