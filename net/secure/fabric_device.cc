#include "net/secure/fabric_device.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <algorithm>
#include <chrono>

#include "common/log.h"
#include "net/apply.h"
#include "net/netlink.h"
#include "net/ports.h"
#include "net/secure/fabric_rules.h"

namespace strata::net {
namespace {

constexpr char kEspLinkKind[] = "xfrm";

struct LinkType {
  std::string kind;         // IFLA_INFO_KIND, or "".
  uint32_t xfrm_if_id = 0;  // Of one of kind "xfrm".
};

Result<LinkType> ReadType(const std::string& name) {
  ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink());
  LinkType type;
  const Owned<nl_msg> request = NewMessage(RTM_GETLINK, 0, ifinfomsg{});
  nla_put_string(request.get(), IFLA_IFNAME, name.c_str());
  RETURN_IF_ERROR(Ask(socket.get(), request, "look at " + name, [&](nlmsghdr* header) {
    nlattr* link[IFLA_MAX + 1];
    nlattr* info[IFLA_INFO_MAX + 1];
    if (header->nlmsg_type == RTM_NEWLINK &&
        nlmsg_parse(header, sizeof(ifinfomsg), link, IFLA_MAX, nullptr) == 0 &&
        link[IFLA_LINKINFO] != nullptr &&
        nla_parse_nested(info, IFLA_INFO_MAX, link[IFLA_LINKINFO], nullptr) == 0 &&
        info[IFLA_INFO_KIND] != nullptr) {
      type.kind = nla_get_string(info[IFLA_INFO_KIND]);
      nlattr* xfrm[IFLA_XFRM_MAX + 1];
      if (type.kind == kEspLinkKind && info[IFLA_INFO_DATA] != nullptr &&
          nla_parse_nested(xfrm, IFLA_XFRM_MAX, info[IFLA_INFO_DATA], nullptr) == 0 &&
          xfrm[IFLA_XFRM_IF_ID] != nullptr) {
        type.xfrm_if_id = nla_get_u32(xfrm[IFLA_XFRM_IF_ID]);
      }
    }
  }));
  return type;
}

Result<std::vector<LinkAddress>> ReadAddresses(const std::string& name) {
  ASSIGN_OR_RETURN(const int index, LinkIndex(name));
  ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink());
  std::vector<LinkAddress> addresses;
  const ifaddrmsg ipv4 = {.ifa_family = AF_INET};
  RETURN_IF_ERROR(
      Dump(socket.get(), RTM_GETADDR, ipv4, "list addresses of " + name, [&](nlmsghdr* header) {
        nlattr* table[IFA_MAX + 1];
        if (header->nlmsg_type != RTM_NEWADDR ||
            nlmsg_parse(header, sizeof(ifaddrmsg), table, IFA_MAX, nullptr) != 0 ||
            table[IFA_LOCAL] == nullptr) {
          return;
        }
        const auto* info = static_cast<const ifaddrmsg*>(nlmsg_data(header));
        if (static_cast<int>(info->ifa_index) != index) return;
        addresses.push_back({ReadIpv4(table[IFA_LOCAL]), info->ifa_prefixlen});
      }));
  return addresses;
}

Status ChangeAddress(nl_sock* socket, int type, int index, const LinkAddress& address,
                     const std::string& what) {
  Owned<nl_msg> message =
      NewMessage(type, type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0,
                 ifaddrmsg{.ifa_family = AF_INET,
                           .ifa_prefixlen = static_cast<uint8_t>(address.length),
                           .ifa_index = static_cast<uint32_t>(index)});
  nla_put_u32(message.get(), IFA_LOCAL, htonl(address.address.value));
  const int fine = type == RTM_NEWADDR ? NLE_EXIST : NLE_NOADDR;
  return Send(socket, std::move(message), what, {fine});
}

Status SetLink(const FabricPlan& plan) {
  if (plan.remove_addresses.empty() && !plan.add_address && !plan.raise_with_mtu) return Ok();
  ASSIGN_OR_RETURN(const int index, LinkIndex(plan.name));
  ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink());
  for (const LinkAddress& address : plan.remove_addresses) {
    RETURN_IF_ERROR(ChangeAddress(socket.get(), RTM_DELADDR, index, address,
                                  "take " + address.ToString() + " from " + plan.name));
  }
  if (plan.add_address) {
    RETURN_IF_ERROR(ChangeAddress(socket.get(), RTM_NEWADDR, index, *plan.add_address,
                                  "give " + plan.add_address->ToString() + " to " + plan.name));
  }
  if (!plan.raise_with_mtu) return Ok();
  Owned<nl_msg> message = NewMessage(
      RTM_SETLINK, 0, ifinfomsg{.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP});
  nla_put_u32(message.get(), IFLA_MTU, *plan.raise_with_mtu);
  return Send(socket.get(), std::move(message), "raise " + plan.name);
}

}  // namespace

FabricDevice::FabricDevice(Options options)
    : options_(std::move(options)),
      name_(FabricName(options_.instance)),
      kernel_(NewKernelWireguard()),
      wireguard_go_(NewWireguardGo(options_.run_dir)),
      esp_(options_.instance),
      session_(options_.run_dir + "/" + name_ + ".session") {}

Status FabricDevice::Prepare(const SecureFabric& desired) {
  if (desired.kind == FabricKind::kWireguard) return ChooseDriver();
  RETURN_IF_ERROR(esp_.Probe());
  return session_.Open();
}

// Of what cannot be made. Rules are the same for all kinds.
Status FabricDevice::Seal(SecureFabric desired) {
  desired.kind = FabricKind::kWireguard;
  ASSIGN_OR_RETURN(ObservedFabric observed, Observe(desired.kind));
  if (!HasRulesOf(desired)) observed.has_rules = false;
  ASSIGN_OR_RETURN(const FabricPlan plan, MakeFabricPlan(options_.instance, desired, observed));
  return ApplyRules(plan);
}

bool FabricDevice::HasRulesOf(const SecureFabric& desired) const {
  return rules_ == MakeFabricRuleset(desired);
}

Result<PublicKey> FabricDevice::Session() {
  RETURN_IF_ERROR(session_.Open());
  return session_.current().Public();
}

Status FabricDevice::ChooseDriver() {
  if (driver_ != nullptr) return Ok();
  std::string missing;
  for (FabricDriver* driver : {kernel_.get(), wireguard_go_.get()}) {
    if (driver == kernel_.get() && options_.choice == Choice::kWireguardGo) continue;
    if (driver == wireguard_go_.get() && options_.choice == Choice::kKernel) continue;
    const Status probed = driver->Probe();
    if (probed.ok()) {
      driver_ = driver;
      LOG_INFO("the fabric " + name_ + " is made by " + std::string(driver->name()) +
               (missing.empty() ? "" : ": " + missing));
      return Ok();
    }
    missing += (missing.empty() ? "" : "; ") + probed.error().message();
  }
  return Error(Code::kUnsupported, "this host can make no fabric: " + missing);
}

Result<std::string> FabricDevice::ListRules() {
  auto listed = nft_.Run("list table inet " + FabricTableName(options_.instance));
  if (listed.ok()) return listed;
  // Nothing that could be told from a table that is not there; putting it says what is wrong.
  return std::string();
}

Result<ObservedFabric> FabricDevice::Observe(FabricKind kind) {
  ObservedFabric observed;
  observed.now = std::chrono::system_clock::now().time_since_epoch();
  ASSIGN_OR_RETURN(observed.links, ObserveLinks());
  ASSIGN_OR_RETURN(const std::string listed, ListRules());
  observed.has_rules = !listed.empty() && (rules_list_.empty() || listed == rules_list_);
  // A session says that this host has, or has had, associations.
  if (kind == FabricKind::kEsp || session_.IsKept()) {
    ASSIGN_OR_RETURN(observed.esp, esp_.Read());
    observed.esp.used_sessions = session_.used();
  }
  const bool has_link = std::any_of(observed.links.begin(), observed.links.end(),
                                    [&](const ObservedLink& link) { return link.name == name_; });
  if (!has_link) return observed;
  ASSIGN_OR_RETURN(observed.addresses, ReadAddresses(name_));
  ASSIGN_OR_RETURN(const LinkType type, ReadType(name_));
  if (kind == FabricKind::kEsp) {
    observed.has_device = type.kind == kEspLinkKind && type.xfrm_if_id == esp_.if_id();
    return observed;
  }
  if (driver_ == nullptr || type.kind != driver_->link_kind()) return observed;
  ASSIGN_OR_RETURN(observed.device, driver_->Read(name_));
  observed.has_device = observed.device.has_value();
  if (!observed.device) return observed;
  for (ObservedPeer& peer : observed.device->peers) {
    if (const auto told = told_.find(peer.key); told != told_.end()) peer.told = told->second;
  }
  return observed;
}

Result<FabricPlan> FabricDevice::Plan(const std::optional<SecureFabric>& desired) {
  std::optional<SecureFabric> wanted = desired;
  if (wanted) {
    RETURN_IF_ERROR(Prepare(*wanted));
    wanted->session = session_.current();
    wanted->previous_session = session_.previous();
  }
  ASSIGN_OR_RETURN(ObservedFabric observed,
                   Observe(wanted ? wanted->kind : FabricKind::kWireguard));
  // What this process has not put in force is not known to be right.
  if (wanted && !HasRulesOf(*wanted)) observed.has_rules = false;
  return MakeFabricPlan(options_.instance, wanted, observed);
}

Status FabricDevice::ApplyRules(const FabricPlan& plan) {
  if (plan.ruleset.empty()) return Ok();
  rules_.clear();
  RETURN_IF_ERROR(nft_.Run(plan.ruleset));
  ASSIGN_OR_RETURN(rules_list_, ListRules());
  if (!rules_list_.empty()) rules_ = plan.ruleset;
  return Ok();
}

void FabricDevice::Remember(const DeviceChange& change) {
  for (const PublicKey& key : change.remove_peers) told_.erase(key);
  for (const PeerSettings& peer : change.set_peers) {
    if (peer.endpoint) told_[peer.key] = *peer.endpoint;
  }
}

// Rules are there before the device, and as long as it is.
Status FabricDevice::Apply(const FabricPlan& plan, bool is_esp) {
  const bool ends = plan.remove && !plan.create;
  if (!ends) RETURN_IF_ERROR(ApplyRules(plan));
  if (plan.remove) {
    told_.clear();
    RETURN_IF_ERROR(DeleteLink(plan.name));
  }
  // A process whose link somebody else has deleted may have the port for a moment more.
  if (plan.remove || plan.create) RETURN_IF_ERROR(wireguard_go_->Forget(plan.name));
  if (plan.change.port) RETURN_IF_ERROR(CheckHostPortFree(Protocol::kUdp, *plan.change.port));
  if (plan.create && is_esp) RETURN_IF_ERROR(esp_.CreateLink(plan.name));
  if (plan.create && !is_esp) RETURN_IF_ERROR(driver_->Create(plan.name));
  RETURN_IF_ERROR(session_.Use(plan.esp.use_sessions));
  RETURN_IF_ERROR(esp_.Apply(plan.esp));
  if (!plan.change.empty()) {
    RETURN_IF_ERROR(driver_->Change(plan.name, plan.change));
    Remember(plan.change);
  }
  RETURN_IF_ERROR(SetLink(plan));
  return ends ? ApplyRules(plan) : Ok();
}

Result<std::vector<std::string>> FabricDevice::Make(const std::optional<SecureFabric>& desired) {
  if (desired) {
    if (const Status prepared = Prepare(*desired); !prepared.ok()) {
      RETURN_IF_ERROR(Seal(*desired));
      return prepared.error();
    }
  }
  ASSIGN_OR_RETURN(FabricPlan plan, Plan(desired));
  std::vector<std::string> changes;
  if (plan.esp.renew_session) {
    changes = DescribeChanges(plan.esp, name_);
    RETURN_IF_ERROR(session_.Renew());
    ASSIGN_OR_RETURN(plan, Plan(desired));
  }
  const bool is_esp = desired && desired->kind == FabricKind::kEsp;
  RETURN_IF_ERROR(Apply(plan, is_esp));
  // A process whose link somebody else has deleted leaves its socket and its log.
  if (!desired) RETURN_IF_ERROR(wireguard_go_->Forget(name_));
  if (!is_esp) RETURN_IF_ERROR(session_.Forget());
  const std::vector<std::string> done = DescribeChanges(plan);
  changes.insert(changes.end(), done.begin(), done.end());
  return changes;
}

Result<std::optional<ObservedDevice>> FabricDevice::Look() {
  RETURN_IF_ERROR(ChooseDriver());
  ASSIGN_OR_RETURN(ObservedFabric observed, Observe(FabricKind::kWireguard));
  return std::move(observed.device);
}

}  // namespace strata::net
