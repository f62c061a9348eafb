// What vnetd tells vnet-names, the program that answers nodes' questions for names, and what that
// answers: one JSON object per message of a SOCK_SEQPACKET socket, each request with one response.
// Pure.
//
//   {"network": {"number": 7, "link": 12, "prefix": "10.90.7.0/24", "pool": "10.90.0.0/16",
//    "domain": "hpc", "names": [["web-0", "10.90.7.2"]]}}   with the two sockets of its gateway,
//                                                          UDP and TCP, unless it holds them
//   {"drop": [7]}  {"resolvers": ["192.0.2.53"]}  {"look": true}  {"end": true}
//
//   {"version": "…", "counts": {"questions": 3, …}, "held": [[7, 12]]}   the last for "look"
//
// Foreign bytes: vnetd believes nothing that the program says, which nodes may have taken over.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/fd_passing.h"
#include "common/result.h"
#include "net/host_names.h"
#include "net/ipv4.h"

namespace strata::net {

inline constexpr size_t kControlRequestBytesMax = 1u << 20;
inline constexpr size_t kControlResponseBytesMax = 256u << 10;

// As ReceivePassed, with room for as much as there is.
Result<PassedMessage> ReceiveControl(int socket, size_t bytes_max);

struct NetworkNames {
  uint32_t number = 0;
  int link = 0;  // The bridge, as the kernel numbers it.
  Ipv4Prefix prefix;
  Ipv4Prefix pool;
  HostNames names;
};

struct ControlRequest {
  std::optional<NetworkNames> network;
  std::vector<uint32_t> drop;
  std::optional<std::vector<IpAddress>> resolvers;
  bool look = false;
  bool end = false;
};
std::string Format(const ControlRequest& request);
// Errors are kInvalidArgument.
Result<ControlRequest> ParseControlRequest(std::string_view bytes);

struct NameCounts {  // NameService of net/api/net.proto has their meaning.
  uint64_t questions = 0;
  uint64_t own = 0;
  uint64_t own_none = 0;
  uint64_t passed_on = 0;
  uint64_t refused = 0;
  uint64_t malformed = 0;
  uint64_t over_limit = 0;
  uint64_t failed = 0;
};
struct ControlResponse {
  std::string version;
  NameCounts counts;
  std::map<uint32_t, int> held;  // Links of the networks whose sockets it has.
};
std::string Format(const ControlResponse& response);
Result<ControlResponse> ParseControlResponse(std::string_view bytes);

}  // namespace strata::net
