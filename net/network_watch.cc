#include "net/network_watch.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <netlink/socket.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "net/names.h"
#include "net/secure/fabric_rules.h"

namespace strata::net {
namespace {

// Of a socket: thousands of messages, as when a table with many elements is replaced.
constexpr int kBufferBytes = 8 << 20;
constexpr size_t kMessageBytesMax = 256 << 10;

Result<Owned<nl_sock>> Subscribe(int protocol, const std::vector<int>& groups) {
  Owned<nl_sock> socket(nl_socket_alloc());
  CHECK(socket != nullptr);
  nl_socket_disable_seq_check(socket.get());
  RETURN_IF_ERROR(NetlinkStatus(nl_connect(socket.get(), protocol), "netlink"));
  for (const int group : groups) {
    RETURN_IF_ERROR(NetlinkStatus(nl_socket_add_membership(socket.get(), group), "netlink group"));
  }
  const int bytes = kBufferBytes;
  if (::setsockopt(nl_socket_get_fd(socket.get()), SOL_SOCKET, SO_RCVBUFFORCE, &bytes,
                   sizeof(bytes)) != 0) {
    return Errno("SO_RCVBUFFORCE");
  }
  return socket;
}

// Gives all messages that have come to `take`; false: some were lost.
template <typename Take>
bool Drain(nl_sock* socket, const Take& take) {
  std::vector<char> buffer(kMessageBytesMax);
  bool complete = true;
  while (true) {
    const ssize_t size =
        ::recv(nl_socket_get_fd(socket), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == ENOBUFS) {
      complete = false;
      continue;
    }
    if (size <= 0) return complete;
    if (static_cast<size_t>(size) > buffer.size()) {
      complete = false;
      continue;
    }
    auto left = static_cast<int>(size);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data()); nlmsg_ok(header, left);
         header = nlmsg_next(header, &left)) {
      take(header);
    }
  }
}

template <typename Header>
const Header* HeaderOf(nlmsghdr* message) {
  return nlmsg_valid_hdr(message, sizeof(Header)) ? static_cast<const Header*>(nlmsg_data(message))
                                                  : nullptr;
}

}  // namespace

NetworkWatch::NetworkWatch(const std::string& instance)
    : prefix_("s" + instance),
      table_(TableName(instance)),
      fabric_table_(FabricTableName(instance)) {}

Result<std::unique_ptr<NetworkWatch>> NetworkWatch::Open(const std::string& instance) {
  std::unique_ptr<NetworkWatch> watch(new NetworkWatch(instance));
  ASSIGN_OR_RETURN(watch->links_, Subscribe(NETLINK_ROUTE, {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR,
                                                            RTNLGRP_NEIGH, RTNLGRP_TC}));
  ASSIGN_OR_RETURN(watch->rules_, Subscribe(NETLINK_NETFILTER, {NFNLGRP_NFTABLES}));
  watch->wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!watch->wake_.valid()) return Errno("eventfd");
  ASSIGN_OR_RETURN(watch->generation_, Nft().Generation());
  return watch;
}

void NetworkWatch::Wake() {
  const uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof(one)) < 0) LOG_ERROR(Errno("eventfd").message());
}

NetworkWatch::Heard NetworkWatch::Wait(Clock::time_point until) {
  pollfd fds[] = {{nl_socket_get_fd(links_.get()), POLLIN, 0},
                  {nl_socket_get_fd(rules_.get()), POLLIN, 0},
                  {wake_.get(), POLLIN, 0},
                  {followed_, POLLRDHUP, 0}};
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  Heard heard;
  if (::poll(fds, 4, static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000))) <= 0) return heard;
  if (fds[0].revents != 0) ReadLinks(&heard);
  if (fds[1].revents != 0) ReadRules(&heard);
  if (fds[2].revents != 0) {
    uint64_t count = 0;
    if (::read(wake_.get(), &count, sizeof(count)) < 0) LOG_ERROR(Errno("eventfd").message());
  }
  heard.links |= fds[3].revents != 0;
  return heard;
}

bool NetworkWatch::IsOurs(int link_index) const {
  char name[IF_NAMESIZE];
  // One that is gone is told of by its own message.
  return ::if_indextoname(static_cast<unsigned>(link_index), name) != nullptr &&
         std::string_view(name).starts_with(prefix_);
}

void NetworkWatch::ReadLinks(Heard* heard) {
  const bool complete = Drain(links_.get(), [&](nlmsghdr* message) {
    if (heard->links) return;
    switch (message->nlmsg_type) {
      case RTM_NEWLINK:
      case RTM_DELLINK: {
        const nlattr* name = nlmsg_find_attr(message, sizeof(ifinfomsg), IFLA_IFNAME);
        heard->links =
            name != nullptr && std::string_view(nla_get_string(name)).starts_with(prefix_);
        return;
      }
      case RTM_NEWADDR:
      case RTM_DELADDR:
        if (const auto* header = HeaderOf<ifaddrmsg>(message)) {
          heard->links = IsOurs(static_cast<int>(header->ifa_index));
        }
        return;
      case RTM_NEWNEIGH:
      case RTM_DELNEIGH:
        if (const auto* header = HeaderOf<ndmsg>(message)) {
          // Those that the kernel learns and forgets by itself are nobody's change.
          constexpr int kLasting = NUD_PERMANENT | NUD_NOARP;
          const bool lasting =
              message->nlmsg_type == RTM_DELNEIGH || (header->ndm_state & kLasting) != 0;
          heard->links = lasting && IsOurs(header->ndm_ifindex);
        }
        return;
      case RTM_NEWQDISC:
      case RTM_DELQDISC:
        if (const auto* header = HeaderOf<tcmsg>(message)) {
          heard->links = IsOurs(header->tcm_ifindex);
        }
        return;
      default:
        return;
    }
  });
  if (!complete) heard->links = true;
}

// A transaction's changes come first, then the generation that they make (nf_tables_api.c,
// nf_tables_commit).
void NetworkWatch::ReadRules(Heard* heard) {
  const bool complete = Drain(rules_.get(), [&](nlmsghdr* message) {
    if (NFNL_SUBSYS_ID(message->nlmsg_type) != NFNL_SUBSYS_NFTABLES) return;
    if (NFNL_MSG_TYPE(message->nlmsg_type) != NFT_MSG_NEWGEN) {
      // The first attribute of all others is their table (NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, …).
      const nlattr* table = nlmsg_find_attr(message, sizeof(nfgenmsg), NFTA_TABLE_NAME);
      if (table == nullptr) return;
      touched_ |= table_ == nla_get_string(table);
      fabric_touched_ |= fabric_table_ == nla_get_string(table);
      return;
    }
    const nlattr* number = nlmsg_find_attr(message, sizeof(nfgenmsg), NFTA_GEN_ID);
    if (number != nullptr && nla_len(number) >= 4) {
      generation_ = ntohl(nla_get_u32(number));
      heard->transactions.push_back({generation_, touched_});
    }
    heard->rules |= touched_ || fabric_touched_;
    touched_ = fabric_touched_ = false;
  });
  if (!complete) {
    touched_ = fabric_touched_ = false;
    heard->rules = true;
  }
}

}  // namespace strata::net
