// What nodes of a test send each other.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/unit/net/test_host.h"

namespace strata::net {

// Ones' complement sum of RFC 1071.
uint16_t Checksum(const void* data, size_t size);

// One echo of `size_bytes` as IP counts them, that may not be fragmented.
bool Ping(const NetNamespace& from, const std::string& address, size_t size_bytes = 100,
          std::chrono::milliseconds patience = kAnswer);

// Sends `size_bytes` over TCP and compares what arrives.
bool Transfer(const TestNode& from, const TestNode& to, size_t size_bytes);

// Mbit/s of TCP's payload, one connection, as fast as it goes. 0 when not all of it arrived.
double StreamMbits(const NetNamespace& from, const NetNamespace& to, const std::string& address,
                   size_t size_bytes);

}  // namespace strata::net
