#include "net/apply.h"

#include "net/changes.h"

namespace strata::net {
Result<bool> ApplyPlan(const NetworkPlan& plan, RulesInForce* rules,
                       const std::function<Status()>& before_last) {
  ASSIGN_OR_RETURN(const Owned<nl_sock> owned, OpenNetlink());
  nl_sock* const socket = owned.get();
  RETURN_IF_ERROR(RemoveLinks(socket, plan.delete_links));
  // The rules name bridges by pattern, so they hold from the moment a bridge appears.
  ASSIGN_OR_RETURN(const bool new_rules, rules->Put(plan.ruleset));
  for (const auto& bridge : plan.create_bridges) RETURN_IF_ERROR(AddBridge(socket, bridge));
  for (const auto& settings : plan.set_bridges) RETURN_IF_ERROR(SetBridge(socket, settings));
  for (const auto& bridge : plan.address_bridges) RETURN_IF_ERROR(AddAddress(socket, bridge));
  for (const auto& bridge : plan.address6_bridges) RETURN_IF_ERROR(AddAddress6(socket, bridge));
  for (const auto& name : plan.add_transit) RETURN_IF_ERROR(AddTransit(socket, name));
  for (const auto& name : plan.remove_transit) RETURN_IF_ERROR(RemoveTransit(socket, name));
  for (const auto& bridge : plan.create_tunnels) RETURN_IF_ERROR(AddTunnel(socket, bridge));
  for (const auto& bridge : plan.set_tunnels) RETURN_IF_ERROR(SetTunnel(socket, bridge));
  for (const auto& entry : plan.delete_fdb) RETURN_IF_ERROR(RemoveFdbEntry(socket, entry));
  for (const auto& entry : plan.set_fdb) RETURN_IF_ERROR(SetFdbEntry(socket, entry));
  for (const auto& gone : plan.delete_neighbours) RETURN_IF_ERROR(RemoveNeighbour(socket, gone));
  for (const auto& one : plan.set_neighbours) RETURN_IF_ERROR(SetNeighbour(socket, one));
  for (const auto& settings : plan.set_ports) RETURN_IF_ERROR(SetPort(socket, settings));
  for (const auto& veth : plan.set_rates) RETURN_IF_ERROR(SetRate(socket, veth));
  RETURN_IF_ERROR(before_last());
  RETURN_IF_ERROR(RemoveLinks(socket, plan.delete_last));
  return new_rules;
}

Status DeleteLink(const std::string& name) {
  ASSIGN_OR_RETURN(const Owned<nl_sock> socket, OpenNetlink());
  return RemoveLinks(socket.get(), {name});
}

}  // namespace strata::net
