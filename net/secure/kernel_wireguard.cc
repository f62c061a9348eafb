#include <linux/wireguard.h>
#include <netlink/errno.h>

#include "net/secure/fabric_driver.h"
#include "net/secure/wireguard_messages.h"

namespace strata::net {
namespace {

class KernelWireguard final : public FabricDriver {
 public:
  std::string_view name() const override { return "WireGuard in the kernel"; }
  std::string_view link_kind() const override { return "wireguard"; }

  // The kernel loads the module when it is asked for the family.
  Status Probe() override {
    ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink(NETLINK_GENERIC));
    uint16_t family = 0;
    const Status asked = Ask(socket.get(), NewFamilyRequest(WG_GENL_NAME), "WireGuard's family",
                             [&](nlmsghdr* answer) { family = ReadFamily(answer); });
    if (!asked.ok() || family == 0) {
      return Error(Code::kUnsupported, "the kernel has no WireGuard (modprobe wireguard)");
    }
    family_ = family;
    return Ok();
  }

  Status Create(const std::string& device) override {
    ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink());
    Owned<nl_msg> message = NewMessage(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
    nla_put_string(message.get(), IFLA_IFNAME, device.c_str());
    {
      const Nested info(message, IFLA_LINKINFO);
      nla_put_string(message.get(), IFLA_INFO_KIND, "wireguard");
    }
    return Send(socket.get(), std::move(message), "create fabric " + device);
  }

  Result<std::optional<ObservedDevice>> Read(const std::string& device) override {
    ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink(NETLINK_GENERIC));
    ObservedDevice observed;
    bool well_formed = true;
    RETURN_IF_ERROR(Dump(socket.get(), NewDeviceRequest(family_, device), "look at " + device,
                         [&](nlmsghdr* message) {
                           well_formed = AddDeviceMessage(message, &observed) && well_formed;
                         }));
    if (!well_formed) return Error(Code::kInternal, "the kernel's answer about " + device);
    return std::optional(std::move(observed));
  }

  Status Change(const std::string& device, const DeviceChange& change) override {
    ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink(NETLINK_GENERIC));
    const auto send = [&](Owned<nl_msg> message, const std::string& what) {
      return Send(socket.get(), std::move(message), what + " of " + device);
    };
    if (change.key || change.port) {
      RETURN_IF_ERROR(send(NewDeviceSettings(family_, device, change), "set key and port"));
    }
    for (const PublicKey& key : change.remove_peers) {
      RETURN_IF_ERROR(send(NewPeerRemoval(family_, device, key), "remove a peer"));
    }
    for (const PeerSettings& peer : change.set_peers) {
      RETURN_IF_ERROR(send(NewPeerSettings(family_, device, peer), "set peer " + peer.host));
    }
    return Ok();
  }

  Status Forget(const std::string&) override { return Ok(); }

 private:
  uint16_t family_ = 0;
};

}  // namespace

std::unique_ptr<FabricDriver> NewKernelWireguard() { return std::make_unique<KernelWireguard>(); }

}  // namespace strata::net
