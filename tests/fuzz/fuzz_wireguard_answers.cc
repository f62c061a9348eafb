// Any bytes as what WireGuard answers, through its socket and by netlink, and the kernel's IPsec:
// an error, or a device within the limits; and as an endpoint, which means the same when it is
// written again.
//   build/fuzz/bin/fuzz_wireguard_answers -max_len=65536 CORPUS
#include <linux/xfrm.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "common/log.h"
#include "net/secure/uapi_text.h"
#include "net/secure/wireguard_messages.h"
#include "net/secure/xfrm_messages.h"

namespace strata::net {
namespace {

constexpr uint32_t kIfId = 1;

void TrySocket(std::string_view input) {
  const auto device = ParseUapiDevice(input);
  if (!device.ok()) return;
  CHECK(ParseUapiStatus(input).ok());
  CHECK(device->peers.size() <= 4 * kFabricPeersMax);
}

// A message of its own, so that what is read behind it is seen.
void TryMessage(std::string_view input) {
  nlmsghdr header = {};
  header.nlmsg_len = static_cast<uint32_t>(sizeof(header) + input.size());
  std::vector<uint32_t> message((header.nlmsg_len + 3) / 4);
  std::memcpy(message.data(), &header, sizeof(header));
  std::memcpy(reinterpret_cast<char*>(message.data()) + sizeof(header), input.data(), input.size());
  auto* whole = reinterpret_cast<nlmsghdr*>(message.data());
  ObservedDevice device;
  (void)AddDeviceMessage(whole, &device);
  (void)ReadFamily(whole);
  for (const int type : {XFRM_MSG_NEWSA, XFRM_MSG_NEWPOLICY}) {
    whole->nlmsg_type = static_cast<uint16_t>(type);
    (void)ReadEspState(kIfId, whole);
    (void)ReadEspPolicy(kIfId, whole);
  }
}

void TryEndpoint(std::string_view input) {
  const auto endpoint = Endpoint::Parse(input);
  if (endpoint.ok()) CHECK(Endpoint::Parse(endpoint->ToString()).value() == *endpoint);
}

}  // namespace
}  // namespace strata::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  strata::net::TrySocket(input);
  strata::net::TryMessage(input);
  strata::net::TryEndpoint(input);
  return 0;
}
