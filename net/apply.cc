#include "net/apply.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <unistd.h>

#include <map>
#include <memory>

#include "common/file_io.h"
#include "common/subprocess.h"

namespace strata::net {
namespace {

constexpr char kForwarding[] = "/proc/sys/net/ipv4/ip_forward";
constexpr std::chrono::seconds kNftTimeout(20);

struct Free {
  void operator()(nl_sock* socket) const { nl_socket_free(socket); }
  void operator()(nl_cache* cache) const { nl_cache_free(cache); }
  void operator()(rtnl_link* link) const { rtnl_link_put(link); }
  void operator()(rtnl_addr* address) const { rtnl_addr_put(address); }
  void operator()(nl_addr* address) const { nl_addr_put(address); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

Error NetlinkError(const std::string& what, int nl_error) {
  return Error(Code::kInternal, what + ": " + nl_geterror(nl_error));
}

Result<Owned<nl_sock>> OpenNetlink() {
  Owned<nl_sock> socket(nl_socket_alloc());
  if (socket == nullptr) return Error(Code::kInternal, "no memory for a netlink socket");
  const int error = nl_connect(socket.get(), NETLINK_ROUTE);
  if (error < 0) return NetlinkError("netlink", error);
  return socket;
}

Status AddBridge(nl_sock* socket, const Bridge& bridge) {
  const Owned<rtnl_link> link(rtnl_link_bridge_alloc());
  const Mac mac = MacFor(bridge.name);
  const Owned<nl_addr> hardware(nl_addr_build(AF_LLC, mac.data(), mac.size()));
  if (link == nullptr || hardware == nullptr) return Error(Code::kInternal, "no memory for a link");
  rtnl_link_set_name(link.get(), bridge.name.c_str());
  // A fixed address: otherwise the bridge takes its lowest port's, and nodes' ARP entries go stale.
  rtnl_link_set_addr(link.get(), hardware.get());
  rtnl_link_set_flags(link.get(), IFF_UP);
  const int error = rtnl_link_add(socket, link.get(), NLM_F_CREATE | NLM_F_EXCL);
  if (error < 0 && error != -NLE_EXIST) return NetlinkError("create bridge " + bridge.name, error);
  return Ok();
}

Status AddAddress(nl_sock* socket, const Bridge& bridge) {
  const uint32_t network_order = htonl(bridge.gateway().value);
  const Owned<nl_addr> local(nl_addr_build(AF_INET, &network_order, sizeof(network_order)));
  const Owned<rtnl_addr> address(rtnl_addr_alloc());
  if (local == nullptr || address == nullptr) {
    return Error(Code::kInternal, "no memory for an address");
  }
  nl_addr_set_prefixlen(local.get(), bridge.prefix.length);
  rtnl_addr_set_ifindex(address.get(), static_cast<int>(::if_nametoindex(bridge.name.c_str())));
  rtnl_addr_set_local(address.get(), local.get());
  const int error = rtnl_addr_add(socket, address.get(), 0);
  if (error < 0 && error != -NLE_EXIST) {
    return NetlinkError("give " + bridge.gateway().ToString() + " to " + bridge.name, error);
  }
  return Ok();
}

Status Raise(nl_sock* socket, const Bridge& bridge) {
  const Owned<rtnl_link> link(rtnl_link_alloc());
  const Owned<rtnl_link> change(rtnl_link_alloc());
  if (link == nullptr || change == nullptr) return Error(Code::kInternal, "no memory for a link");
  rtnl_link_set_ifindex(link.get(), static_cast<int>(::if_nametoindex(bridge.name.c_str())));
  rtnl_link_set_flags(change.get(), IFF_UP);
  const int error = rtnl_link_change(socket, link.get(), change.get(), 0);
  if (error < 0) return NetlinkError("raise " + bridge.name, error);
  return Ok();
}

Status Remove(nl_sock* socket, const std::string& name) {
  const Owned<rtnl_link> link(rtnl_link_alloc());
  if (link == nullptr) return Error(Code::kInternal, "no memory for a link");
  rtnl_link_set_name(link.get(), name.c_str());
  const int error = rtnl_link_delete(socket, link.get());
  if (error < 0 && error != -NLE_NODEV && error != -NLE_OBJ_NOTFOUND) {
    return NetlinkError("delete link " + name, error);
  }
  return Ok();
}

}  // namespace

Result<std::vector<ObservedLink>> ObserveLinks() {
  ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink());
  nl_cache* cache = nullptr;
  int error = rtnl_link_alloc_cache(socket.get(), AF_UNSPEC, &cache);
  if (error < 0) return NetlinkError("list links", error);
  const Owned<nl_cache> links(cache);
  error = rtnl_addr_alloc_cache(socket.get(), &cache);
  if (error < 0) return NetlinkError("list addresses", error);
  const Owned<nl_cache> addresses(cache);

  std::map<int, ObservedLink> by_index;
  for (nl_object* object = nl_cache_get_first(links.get()); object != nullptr;
       object = nl_cache_get_next(object)) {
    auto* link = reinterpret_cast<rtnl_link*>(object);
    ObservedLink& observed = by_index[rtnl_link_get_ifindex(link)];
    observed.name = rtnl_link_get_name(link);
    observed.up = (rtnl_link_get_flags(link) & IFF_UP) != 0;
  }
  for (nl_object* object = nl_cache_get_first(addresses.get()); object != nullptr;
       object = nl_cache_get_next(object)) {
    auto* address = reinterpret_cast<rtnl_addr*>(object);
    const nl_addr* local = rtnl_addr_get_local(address);
    if (rtnl_addr_get_family(address) != AF_INET || local == nullptr) continue;
    const auto* bytes = static_cast<const uint8_t*>(nl_addr_get_binary_addr(local));
    const uint32_t value =
        static_cast<uint32_t>(bytes[0]) << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
    by_index[rtnl_addr_get_ifindex(address)].addresses.push_back({{value}, 32});
  }
  std::vector<ObservedLink> result;
  for (auto& [index, link] : by_index) result.push_back(std::move(link));
  return result;
}

Status ApplyPlan(const NetworkPlan& plan) {
  ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink());
  for (const std::string& name : plan.delete_links) {
    RETURN_IF_ERROR(Remove(socket.get(), name));
  }
  // The rules name bridges by pattern, so they hold from the moment a bridge appears.
  RETURN_IF_ERROR(RunChecked({"nft", "-f", "-"}, plan.ruleset, kNftTimeout));
  for (const Bridge& bridge : plan.create_bridges) {
    RETURN_IF_ERROR(AddBridge(socket.get(), bridge));
    RETURN_IF_ERROR(AddAddress(socket.get(), bridge));
  }
  for (const Bridge& bridge : plan.address_bridges) {
    RETURN_IF_ERROR(AddAddress(socket.get(), bridge));
  }
  for (const Bridge& bridge : plan.raise_bridges) RETURN_IF_ERROR(Raise(socket.get(), bridge));
  return Ok();
}

Status DeleteLink(const std::string& name) {
  ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink());
  return Remove(socket.get(), name);
}

namespace {

Status WriteForwarding(std::string_view value) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(kForwarding, O_WRONLY));
  RETURN_IF_ERROR(WriteAll(fd.get(), value), kForwarding);
  return fd.Close();
}

}  // namespace

Status EnableForwarding(const std::string& marker_path) {
  ASSIGN_OR_RETURN(const std::string value, ReadFile(kForwarding, 16));
  if (!value.starts_with('0')) return Ok();
  RETURN_IF_ERROR(WriteFileAtomically(marker_path, "0\n"));
  return WriteForwarding("1\n");
}

Status RestoreForwarding(const std::string& marker_path) {
  if (!PathExists(marker_path)) return Ok();
  ASSIGN_OR_RETURN(const std::string tables,
                   RunChecked({"nft", "list", "tables"}, {}, kNftTimeout));
  if (tables.find(kTablePrefix) == std::string::npos) RETURN_IF_ERROR(WriteForwarding("0\n"));
  if (::unlink(marker_path.c_str()) != 0) return Errno("unlink " + marker_path);
  return Ok();
}

}  // namespace strata::net
