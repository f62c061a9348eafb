// Desired networks as messages (net/api/net.proto), and as the JSON of files: protobuf's mapping,
// with names as in the .proto file.
//
// Pure. Foreign bytes: what these functions take has passed CheckDesired. kInvalidArgument names
// the place.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"
#include "net/api/net.pb.h"
#include "net/desired.h"

namespace strata::net {

inline constexpr size_t kNetworksFileBytesMax = 64u << 20;

Result<DesiredNetwork> FromMessage(const v1::HostNetworks& message);
v1::HostNetworks ToMessage(const DesiredNetwork& desired);

Result<DesiredNetwork> ParseNetworks(std::string_view json);
std::string FormatNetworks(const DesiredNetwork& desired);
// Of what a program keeps for itself.
Result<DesiredNetwork> DeserializeNetworks(std::string_view bytes);
std::string SerializeNetworks(const DesiredNetwork& desired);

}  // namespace strata::net
