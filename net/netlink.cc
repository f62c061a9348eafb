#include "net/netlink.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace strata::net {
namespace {

constexpr int kDumpAttempts = 20;

struct FreeCallbacks {
  void operator()(nl_cb* callbacks) const { nl_cb_put(callbacks); }
};
using OwnedCallbacks = std::unique_ptr<nl_cb, FreeCallbacks>;

// Messages one after the other, each at its aligned place.
using Bytes = std::vector<char>;

int Collect(nl_msg* message, void* bytes) {
  const nlmsghdr* header = nlmsg_hdr(message);
  auto* all = static_cast<Bytes*>(bytes);
  const auto* first = reinterpret_cast<const char*>(header);
  all->insert(all->end(), first, first + header->nlmsg_len);
  all->resize(NLMSG_ALIGN(all->size()));
  return NL_OK;
}

// Sends and collects what answers, up to the end of a dump.
int Exchange(nl_sock* socket, const Owned<nl_msg>& request, Bytes* bytes) {
  nl_cb* const original = nl_socket_get_cb(socket);
  const OwnedCallbacks callbacks(nl_cb_clone(original));
  nl_cb_put(original);
  CHECK(callbacks != nullptr);
  nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, Collect, bytes);
  bytes->clear();
  nlmsg_hdr(request.get())->nlmsg_seq = NL_AUTO_SEQ;
  const int sent = nl_send_auto(socket, request.get());
  return sent < 0 ? sent : nl_recvmsgs(socket, callbacks.get());
}

void GiveEach(Bytes* bytes, const std::function<void(nlmsghdr*)>& take) {
  for (size_t offset = 0; offset < bytes->size();) {
    auto* header = reinterpret_cast<nlmsghdr*>(bytes->data() + offset);
    offset += NLMSG_ALIGN(header->nlmsg_len);
    take(header);
  }
}

}  // namespace

Result<Owned<nl_sock>> OpenNetlink(int protocol) {
  Owned<nl_sock> socket(nl_socket_alloc());
  CHECK(socket != nullptr);
  RETURN_IF_ERROR(NetlinkStatus(nl_connect(socket.get(), protocol), "netlink"));
  return socket;
}

Status NetlinkStatus(int nl_error, const std::string& what, std::initializer_list<int> fine) {
  if (nl_error >= 0 || std::find(fine.begin(), fine.end(), -nl_error) != fine.end()) return Ok();
  return Error(Code::kInternal, what + ": " + nl_geterror(nl_error));
}

Result<int> LinkIndex(const std::string& name) {
  const unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) return Error(Code::kNotFound, "there is no link " + name);
  return static_cast<int>(index);
}

Status Send(nl_sock* socket, Owned<nl_msg> message, const std::string& what,
            std::initializer_list<int> fine) {
  return NetlinkStatus(nl_send_sync(socket, message.release()), what, fine);
}

Status Ask(nl_sock* socket, const Owned<nl_msg>& request, const std::string& what,
           const std::function<void(nlmsghdr*)>& take) {
  Bytes bytes;
  RETURN_IF_ERROR(NetlinkStatus(Exchange(socket, request, &bytes), what));
  GiveEach(&bytes, take);
  return Ok();
}

Status Dump(nl_sock* socket, const Owned<nl_msg>& request, const std::string& what,
            const std::function<void(nlmsghdr*)>& take) {
  Bytes bytes;
  int error = -NLE_DUMP_INTR;
  for (int attempt = 0; attempt < kDumpAttempts && error == -NLE_DUMP_INTR; ++attempt) {
    error = Exchange(socket, request, &bytes);
  }
  RETURN_IF_ERROR(NetlinkStatus(error, what));
  GiveEach(&bytes, take);
  return Ok();
}

Ipv4 ReadIpv4(const nlattr* attribute) { return {ntohl(nla_get_u32(attribute))}; }

std::optional<IpAddress> ReadAddress(const nlattr* attribute) {
  if (attribute == nullptr) return std::nullopt;
  if (nla_len(attribute) == sizeof(uint32_t)) return IpAddress(ReadIpv4(attribute));
  IpAddress address;
  if (nla_len(attribute) != static_cast<int>(address.bytes.size())) return std::nullopt;
  std::memcpy(address.bytes.data(), nla_data(attribute), address.bytes.size());
  return address;
}

void PutAddress(const Owned<nl_msg>& message, int type, const IpAddress& address) {
  const int skip = address.is_ipv4() ? 12 : 0;
  nla_put(message.get(), type, static_cast<int>(address.bytes.size()) - skip,
          address.bytes.data() + skip);
}

uint8_t FamilyOf(const IpAddress& address) { return address.is_ipv4() ? AF_INET : AF_INET6; }

}  // namespace strata::net
