// WireGuard's cross-platform configuration protocol (wireguard.com/xplatform): what is said to a
// userspace WireGuard through its socket, and what it answers. Pure.
#pragma once

#include <string>
#include <string_view>

#include "net/secure/fabric_plan.h"

namespace strata::net {

inline constexpr size_t kUapiAnswerBytesMax = 4u << 20;

// "set=1\n…\n\n". A secret.
std::string FormatUapiSet(const DeviceChange& change);
inline constexpr std::string_view kUapiGet = "get=1\n\n";

// An answer ends with an empty line.
bool IsWholeUapiAnswer(std::string_view answer);
// Ok for "errno=0", kInternal with the reason otherwise, kCorrupt when there is no errno.
Status ParseUapiStatus(std::string_view answer);
// Of an answer to kUapiGet. kCorrupt names the line; keys that are not known are passed over, and
// so is an endpoint with a zone, which no host of ours has.
Result<ObservedDevice> ParseUapiDevice(std::string_view answer);

}  // namespace strata::net
