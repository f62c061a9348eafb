#include "net/apply.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/file_io.h"
#include "net/changes.h"

namespace strata::net {
namespace {

constexpr char kForwarding[] = "/proc/sys/net/ipv4/ip_forward";

Status WriteForwarding(std::string_view value) {
  ASSIGN_OR_RETURN(UniqueFd fd, Open(kForwarding, O_WRONLY));
  RETURN_IF_ERROR(WriteAll(fd.get(), value), kForwarding);
  return fd.Close();
}

}  // namespace

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

Status EnableForwarding(const std::string& marker_path) {
  ASSIGN_OR_RETURN(const std::string value, ReadFile(kForwarding, 16));
  if (!value.starts_with('0')) return Ok();
  RETURN_IF_ERROR(WriteFileAtomically(marker_path, "0\n"));
  return WriteForwarding("1\n");
}

Status RestoreForwarding(const std::string& marker_path, Nft& nft) {
  if (!PathExists(marker_path)) return Ok();
  ASSIGN_OR_RETURN(const std::string tables, nft.Run("list tables"));
  if (tables.find(kTablePrefix) == std::string::npos) RETURN_IF_ERROR(WriteForwarding("0\n"));
  if (::unlink(marker_path.c_str()) != 0) return Errno("unlink " + marker_path);
  return Ok();
}

}  // namespace strata::net
