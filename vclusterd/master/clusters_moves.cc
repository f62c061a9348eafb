// What admins see to: moves of nodes between hosts, room that is kept, and room that is made.
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

Status Clusters::SetHolder(const Caller& caller, const RoomHolder& holder,
                           master::v1::Reservation* record) {
  if (int{!holder.user.empty()} + int{!holder.vcluster.empty()} + int{!holder.class_name.empty()} !=
      1) {
    return Error(Code::kInvalidArgument, "room is kept for a user, a Vcluster or a class");
  }
  if (!holder.user.empty()) {
    ASSIGN_OR_RETURN(const uint32_t uid, users_.UidOf(holder.user));
    record->set_owner_uid(uid);
  } else if (!holder.vcluster.empty()) {
    ASSIGN_OR_RETURN(const Found found, Find(caller, Operation::kHostReserve, holder.vcluster));
    record->set_vcluster(found.number());
  } else {
    const size_t slash = holder.class_name.find('/');
    if (slash == std::string::npos) {
      return Error(Code::kInvalidArgument, "a class is named TEACHER/NAME");
    }
    const std::string name = holder.class_name.substr(slash + 1);
    RETURN_IF_ERROR(CheckClusterName(name), "a class's name");
    ASSIGN_OR_RETURN(const uint32_t uid, users_.UidOf(holder.class_name.substr(0, slash)));
    record->set_class_key(ClassKey(uid, name));
  }
  return Ok();
}

Status Clusters::Reserve(const Caller& caller, master::v1::Reservation record,
                         const RoomHolder& holder) {
  const Target target{std::nullopt, "reservation " + record.name(), ""};
  return users_.Perform(caller, Operation::kHostReserve, target, "", [&]() -> Status {
    RETURN_IF_ERROR(SetHolder(caller, holder, &record));
    record.set_version(1);
    record.set_created_unix_ms(master_.NowUnixMs());
    return master_.Reserve(std::move(record));
  });
}

Status Clusters::Unreserve(const Caller& caller, const std::string& name) {
  const Target target{std::nullopt, "reservation " + name, ""};
  return users_.Perform(caller, Operation::kHostReserve, target, "delete",
                        [&] { return master_.Unreserve(name); });
}

Result<std::vector<Clusters::ReservationView>> Clusters::Reservations(const Caller& caller) {
  RETURN_IF_ERROR(
      users_.Authorize(caller, Operation::kHostReserve, {std::nullopt, "reservations", ""}));
  const int64_t now_s = master_.NowUnixMs() / 1000;
  std::vector<ReservationView> views;
  for (master::v1::Reservation& record : master_.Reservations()) {
    ReservationView& view = views.emplace_back();
    if (!record.class_key().empty()) {
      const size_t slash = record.class_key().find('/');
      view.holder = "class " + users_.NameOf(NumberOf(record.class_key().substr(0, slash))) +
                    record.class_key().substr(slash);
    } else if (record.vcluster() == 0) {
      view.holder = "user " + users_.NameOf(record.owner_uid());
    } else if (const VclusterView of = master_.Find(record.vcluster()); of.vcluster != nullptr) {
      view.holder = "Vcluster " + users_.NameOf(of.vcluster->record.owner_uid()) + "/" +
                    of.vcluster->record.name();
    }
    view.holds = record.from_unix_s() <= now_s &&
                 (record.until_unix_s() == 0 || now_s < record.until_unix_s());
    view.record = std::move(record);
  }
  return views;
}

Result<std::vector<Master::VictimView>> Clusters::Preempt(const Caller& caller,
                                                          const std::string& name,
                                                          std::optional<int32_t> below,
                                                          bool dry_run) {
  ASSIGN_OR_RETURN(const Found found, Find(caller, Operation::kVclusterPreempt, name));
  const auto preempt = [&]() -> Result<std::vector<Master::VictimView>> {
    auto victims = master_.Preempt(found.number(), below, dry_run);
    const bool has_room = !victims.ok() && victims.error().code() == Code::kFailedPrecondition;
    if (has_room) return std::vector<Master::VictimView>();
    return victims;
  };
  if (!dry_run) {
    return users_.Perform(caller, Operation::kVclusterPreempt, found.target, "", preempt);
  }
  RETURN_IF_ERROR(users_.Authorize(caller, Operation::kVclusterPreempt, found.target));
  return preempt();
}

Status Clusters::AuthorizeRentals(const Caller& caller) {
  return users_.Authorize(caller, Operation::kHostJoin, {});
}

}  // namespace strata::vcluster
