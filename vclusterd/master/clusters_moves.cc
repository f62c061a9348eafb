// Moves of nodes between hosts, as root asks for them.
#include <tuple>

#include "vclusterd/master/clusters.h"

namespace strata::vcluster {
namespace {

Result<Master::HostView> FindHost(Master& master, const std::string& name) {
  for (Master::HostView& view : master.Hosts()) {
    if (view.name == name) return std::move(view);
  }
  return Error(Code::kNotFound, "there is no host '" + name + "'");
}

bool IsDone(const Master::HostView& view) {
  return view.looked && view.moving == 0 && view.left <= view.staying.size();
}

}  // namespace

Result<Master::HostView> Clusters::WatchDrain(const Caller& caller, const std::string& host,
                                              const HostFn& tell, const CancelToken& cancel) {
  RETURN_IF_ERROR(
      users_.Authorize(caller, Operation::kHostDrain, {std::nullopt, "host " + host, ""}));
  std::optional<std::tuple<uint32_t, uint32_t, size_t>> told;
  while (true) {
    ASSIGN_OR_RETURN(Master::HostView view, FindHost(master_, host));
    if (!view.draining) {
      return Error(Code::kFailedPrecondition, "host '" + host + "' is not drained");
    }
    if (!view.present) {
      return Error(Code::kUnavailable,
                   "host '" + host + "' is not there: what its nodes have written cannot be moved");
    }
    const auto now = std::tuple(view.left, view.moving, view.staying.size());
    if (told != now) tell(view);
    told = now;
    if (IsDone(view)) return view;
    RETURN_IF_ERROR(cancel.Check());
    RETURN_IF_ERROR(master_.AwaitChange());
  }
}

Result<std::vector<Master::MoveView>> Clusters::Rebalance(const Caller& caller, bool dry_run) {
  const auto move = [&] { return master_.Rebalance(dry_run); };
  const Target hosts{std::nullopt, "hosts", ""};
  if (!dry_run) return users_.Perform(caller, Operation::kHostDrain, hosts, "rebalance", move);
  RETURN_IF_ERROR(users_.Authorize(caller, Operation::kHostDrain, hosts));
  return move();
}

Result<std::vector<Master::VictimView>> Clusters::Preempt(const Caller& caller,
                                                          const std::string& name, bool preempts,
                                                          bool dry_run) {
  ASSIGN_OR_RETURN(const Found found, Find(caller, Operation::kVclusterPreempt, name));
  RETURN_IF_ERROR(users_.Authorize(caller, Operation::kVclusterPreempt, found.target));
  auto victims = master_.Victims(found.number());
  const bool has_room = !victims.ok() && victims.error().code() == Code::kFailedPrecondition;
  if (has_room) victims = std::vector<Master::VictimView>();
  if (dry_run) return victims;
  std::string what = preempts ? "nodes of lower priority stop for it" : "no others stop for it";
  for (const Master::VictimView& victim : victims.value_or({})) what += ", " + victim.node;
  return users_.Perform(caller, Operation::kVclusterPreempt, found.target, what,
                        [&]() -> Result<std::vector<Master::VictimView>> {
                          RETURN_IF_ERROR(master_.Change(
                              {found.number()}, [&](master::v1::Vcluster* record) -> Status {
                                RETURN_IF_ERROR(CheckLive(*record));
                                record->set_preempts(preempts);
                                return Ok();
                              }));
                          return preempts ? victims.value_or({})
                                          : std::vector<Master::VictimView>();
                        });
}

Status Clusters::AuthorizeRentals(const Caller& caller) {
  return users_.Authorize(caller, Operation::kHostJoin, {});
}

}  // namespace strata::vcluster
