// What the rules of an instance have counted: packets and bytes by reason, of both tables. The
// names are in docs/network.md.
//
// In the network namespace of the calling thread. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "net/rule_table.h"

namespace strata::net {

inline constexpr size_t kCountersMax = 100'000;

// Sorted by name. No tables: none. kResourceExhausted: there are more than can be ours.
Result<std::vector<RuleCounter>> ReadCounters(const std::string& instance);
Result<std::vector<RuleCounter>> ReadTableCounters(const std::string& family,
                                                   const std::string& table);

}  // namespace strata::net
