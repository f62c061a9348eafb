#include "net/desired.h"

#include <map>
#include <utility>

namespace strata::net {
namespace {

std::string TargetOf(const Forward& forward, const Bridge& bridge) {
  return forward.address.ToString() + ":" + std::to_string(forward.node_port) + " on " +
         bridge.name;
}

bool IsNodeAddress(const Bridge& bridge, Ipv4 address) {
  const uint32_t host = address.value - bridge.prefix.base.value;
  return bridge.prefix.Contains(address) && host >= kFirstNodeHost &&
         host < kFirstNodeHost + kNodesMaxPerCluster;
}

Status CheckForwards(const DesiredNetwork& desired) {
  std::map<std::pair<Protocol, uint16_t>, std::string> targets;
  for (const Bridge& bridge : desired.bridges) {
    for (const Forward& forward : bridge.forwards) {
      const std::string port = std::to_string(forward.host_port) + "/" +
                               std::string(ProtocolName(forward.protocol)) + " of the host";
      const std::string target = TargetOf(forward, bridge);
      if (forward.host_port == 0 || forward.node_port == 0) {
        return Error(Code::kInvalidArgument,
                     "there is no port 0: port " + port + " is forwarded to " + target);
      }
      if (!IsNodeAddress(bridge, forward.address)) {
        return Error(Code::kInvalidArgument,
                     "port " + port + " is forwarded to " + target + ", where no node can be");
      }
      const auto [first, inserted] =
          targets.emplace(std::pair(forward.protocol, forward.host_port), target);
      if (!inserted) {
        return Error(Code::kInvalidArgument, "port " + port + " is forwarded twice: to " +
                                                 first->second + " and to " + target);
      }
    }
  }
  return Ok();
}

Status CheckRates(const DesiredNetwork& desired) {
  for (const Veth& veth : desired.veths) {
    const uint64_t rate = veth.bits_per_s_max;
    if (rate == 0 || (rate >= kBitsPerSecondMin && rate <= kBitsPerSecondMax)) continue;
    return Error(Code::kInvalidArgument, "a rate of " + std::to_string(rate) + " bits/s for " +
                                             veth.name + " is not between " +
                                             std::to_string(kBitsPerSecondMin) + " and " +
                                             std::to_string(kBitsPerSecondMax));
  }
  return Ok();
}

}  // namespace

std::string_view ProtocolName(Protocol protocol) {
  return protocol == Protocol::kTcp ? "tcp" : "udp";
}

Mac Bridge::mac() const { return MacFor(name); }

Status CheckDesired(const DesiredNetwork& desired) {
  RETURN_IF_ERROR(CheckForwards(desired));
  return CheckRates(desired);
}

}  // namespace strata::net
