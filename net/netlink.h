// How the files of net/ speak netlink: owned libnl objects, requests that are acknowledged, and
// dumps. Not part of the interface of net/. A socket is of the network namespace of the thread that
// opened it, and is used by one thread at a time.
#pragma once

#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>

#include "common/log.h"
#include "common/result.h"
#include "net/ip_address.h"
#include "net/ipv4.h"

namespace strata::net {

struct FreeNetlink {
  void operator()(nl_sock* socket) const { nl_socket_free(socket); }
  void operator()(nl_msg* message) const { nlmsg_free(message); }
};
template <typename T>
using Owned = std::unique_ptr<T, FreeNetlink>;

Result<Owned<nl_sock>> OpenNetlink(int protocol = NETLINK_ROUTE);

// From libnl's (negative) number to Ok or kInternal; a number of `fine` is Ok.
Status NetlinkStatus(int nl_error, const std::string& what, std::initializer_list<int> fine = {});

// The link's number, kNotFound when there is none of the name.
Result<int> LinkIndex(const std::string& name);

// A message of `type` (RTM_...) with `header` behind nlmsghdr, to put attributes in.
template <typename Header>
Owned<nl_msg> NewMessage(int type, int flags, const Header& header) {
  Owned<nl_msg> message(nlmsg_alloc_simple(type, flags));
  CHECK(message != nullptr && nlmsg_append(message.get(), const_cast<Header*>(&header),
                                           sizeof(header), NLMSG_ALIGNTO) == 0);
  return message;
}

// Ends with its scope. The messages of net/ are small: there is always room.
class Nested {
 public:
  Nested(const Owned<nl_msg>& message, int type)
      : message_(message.get()), start_(nla_nest_start(message_, type | NLA_F_NESTED)) {
    CHECK(start_ != nullptr);
  }
  Nested(const Nested&) = delete;
  ~Nested() { nla_nest_end(message_, start_); }

 private:
  nl_msg* message_;
  nlattr* start_;
};

// Sends and waits for the kernel's answer.
Status Send(nl_sock* socket, Owned<nl_msg> message, const std::string& what,
            std::initializer_list<int> fine = {});

// The one message that answers `request`, for `take`. The acknowledgement is in the socket then,
// which is of no further use, unless the caller has turned that off (nl_socket_disable_auto_ack).
Status Ask(nl_sock* socket, const Owned<nl_msg>& request, const std::string& what,
           const std::function<void(nlmsghdr*)>& take);

// All messages that answer `request` (RTM_GET... with NLM_F_DUMP), for `take`. They are collected
// first, and anew when the table changed meanwhile, so that nothing is seen twice or missed.
Status Dump(nl_sock* socket, const Owned<nl_msg>& request, const std::string& what,
            const std::function<void(nlmsghdr*)>& take);
template <typename Header>
Status Dump(nl_sock* socket, int type, const Header& header, const std::string& what,
            const std::function<void(nlmsghdr*)>& take) {
  return Dump(socket, NewMessage(type, NLM_F_DUMP, header), what, take);
}

// An attribute of four bytes in network order.
Ipv4 ReadIpv4(const nlattr* attribute);
// One of four bytes or of sixteen; nothing when it is neither.
std::optional<IpAddress> ReadAddress(const nlattr* attribute);
void PutAddress(const Owned<nl_msg>& message, int type, const IpAddress& address);
// AF_INET or AF_INET6.
uint8_t FamilyOf(const IpAddress& address);

}  // namespace strata::net
