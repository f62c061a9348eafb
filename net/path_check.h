// Whether packets pass the network of the hosts in the size that tunnels need.
#pragma once

#include <chrono>
#include <cstdint>
#include <set>

#include "common/result.h"
#include "net/ipv4.h"

namespace strata::net {

inline constexpr uint32_t kEchoBytesMin = 100;

// Those of `hosts` that answer an echo (ICMP, RFC 792) of `bytes`, as IP counts them, which may not
// be fragmented on the way. All are asked at once; returns when all have answered, or after
// `patience`. A host that answers no echo at all is not told from one that is not there.
// Thread-safe; of the calling thread's network namespace. REQUIRES: root; kEchoBytesMin <= bytes <=
// 65535.
Result<std::set<Ipv4>> Echo(Ipv4 from, const std::set<Ipv4>& hosts, uint32_t bytes,
                            std::chrono::milliseconds patience);

}  // namespace strata::net
