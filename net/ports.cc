#include "net/ports.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <charconv>
#include <string>

#include "common/unique_fd.h"

namespace strata::net {

Result<PortRange> PortRange::Parse(std::string_view text) {
  const Error bad(Code::kInvalidArgument,
                  "not a range of ports such as 20000-29999: '" + std::string(text) + "'");
  PortRange range;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, range.first);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '-') return bad;
  const auto last = std::from_chars(first.ptr + 1, end, range.last);
  if (last.ec != std::errc() || last.ptr != end) return bad;
  if (range.first == 0 || range.first > range.last) return bad;
  return range;
}

Result<uint16_t> ChooseHostPort(const std::set<uint16_t>& taken, const PortRange& range,
                                const std::function<bool(uint16_t)>& is_free) {
  for (uint32_t port = range.first; port <= range.last; ++port) {
    const auto candidate = static_cast<uint16_t>(port);
    if (!taken.contains(candidate) && is_free(candidate)) return candidate;
  }
  return Error(Code::kResourceExhausted,
               "no port of the host is free from " + std::to_string(range.first) + " to " +
                   std::to_string(range.last) + ": delete a forward, or configure a larger range");
}

Status CheckHostPortFree(Protocol protocol, uint16_t port) {
  const bool tcp = protocol == Protocol::kTcp;
  const std::string name =
      "port " + std::to_string(port) + "/" + std::string(ProtocolName(protocol));
  const UniqueFd fd(::socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Errno("socket");
  // Connections that linger after a server's end are nobody's use of a TCP port. For UDP the option
  // means sharing.
  const int on = 1;
  if (tcp && ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) {
    return Errno("SO_REUSEADDR");
  }
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return Ok();
  }
  if (errno != EADDRINUSE) return Errno("try " + name);
  return Error(Code::kFailedPrecondition,
               name +
                   " of the host is used by a program of the host: take another port, or stop "
                   "that program");
}

}  // namespace strata::net
