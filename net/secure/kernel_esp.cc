#include "net/secure/kernel_esp.h"

#include <linux/if_link.h>
#include <netlink/errno.h>

#include <cstring>

#include "common/digest.h"
#include "net/secure/xfrm_messages.h"

namespace strata::net {
namespace {

// Not 0, which is no interface's.
uint32_t NumberOf(const std::string& instance) {
  const Digest digest = Hasher::Of("fabric " + instance);
  uint32_t number;
  std::memcpy(&number, digest.bytes().data(), sizeof(number));
  return number | 1;
}

constexpr char kNeeds[] = " (the kernel needs xfrm_user, xfrm_interface, esp4, gcm, seqiv, drbg)";

}  // namespace

KernelEsp::KernelEsp(const std::string& instance) : if_id_(NumberOf(instance)) {}

// By an association with a key that is used nowhere: it needs all modules but the interface's.
Status KernelEsp::Probe() {
  if (probed_) return Ok();
  const auto unsupported = [](const Error& error) {
    return Error(Code::kUnsupported, "the kernel has no ESP: " + error.message() + kNeeds);
  };
  const auto socket = OpenNetlink(NETLINK_XFRM);
  if (!socket.ok()) return unsupported(socket.error());
  ASSIGN_OR_RETURN(const SecretKey random, SecretKey::GeneratePrivate());
  EspState state;
  state.way = {{0x7f000001}, {0x7f000001}, {0x7f000001}, {0x7f000001}};
  state.spi = if_id_ < 256 ? 256 : if_id_;
  EspKey::Bytes key{};
  std::memcpy(key.data(), random.bytes().data(), random.bytes().size());
  state.key = EspKey(key);
  const Status added =
      Send(socket->get(), NewEspState(if_id_, state), "try an association", {NLE_EXIST});
  if (!added.ok()) return unsupported(added.error());
  RETURN_IF_ERROR(Send(socket->get(), NewEspStateRemoval(state), "end the trial of an association",
                       {NLE_OBJ_NOTFOUND}));
  probed_ = true;
  return Ok();
}

Status KernelEsp::CreateLink(const std::string& name) {
  ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink());
  Owned<nl_msg> message = NewMessage(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  nla_put_string(message.get(), IFLA_IFNAME, name.c_str());
  {
    const Nested info(message, IFLA_LINKINFO);
    nla_put_string(message.get(), IFLA_INFO_KIND, "xfrm");
    const Nested data(message, IFLA_INFO_DATA);
    nla_put_u32(message.get(), IFLA_XFRM_IF_ID, if_id_);
  }
  return Send(socket.get(), std::move(message), "create fabric " + name + kNeeds);
}

Result<ObservedEsp> KernelEsp::Read() {
  ObservedEsp observed;
  const auto socket = OpenNetlink(NETLINK_XFRM);
  if (!socket.ok()) return observed;
  RETURN_IF_ERROR(
      Dump(socket->get(), NewEspStatesRequest(), "list associations", [&](nlmsghdr* message) {
        if (auto state = ReadEspState(if_id_, message)) {
          observed.states.push_back(std::move(*state));
        }
      }));
  RETURN_IF_ERROR(Dump(socket->get(), NewEspPoliciesRequest(), "list policies of IPsec",
                       [&](nlmsghdr* message) {
                         if (auto policy = ReadEspPolicy(if_id_, message)) {
                           observed.policies.push_back(*policy);
                         }
                       }));
  return observed;
}

Status KernelEsp::Apply(const EspPlan& plan) {
  if (plan.empty()) return Ok();
  ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink(NETLINK_XFRM));
  for (const EspState& state : plan.add_states) {
    RETURN_IF_ERROR(
        Send(socket.get(), NewEspState(if_id_, state),
             "add an association with " + state.way.inner_destination.ToString() + kNeeds));
  }
  for (const EspPolicy& policy : plan.set_policies) {
    RETURN_IF_ERROR(Send(socket.get(), NewEspPolicy(if_id_, policy), "set a policy of IPsec"));
  }
  for (const EspPolicy& policy : plan.remove_policies) {
    RETURN_IF_ERROR(Send(socket.get(), NewEspPolicyRemoval(if_id_, policy),
                         "remove a policy of IPsec", {NLE_OBJ_NOTFOUND}));
  }
  for (const EspState& state : plan.remove_states) {
    RETURN_IF_ERROR(
        Send(socket.get(), NewEspStateRemoval(state), "remove an association", {NLE_OBJ_NOTFOUND}));
  }
  return Ok();
}

}  // namespace strata::net
