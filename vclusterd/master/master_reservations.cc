// Room that is kept for somebody (reservations.h).
#include <algorithm>

#include "common/log.h"
#include "vclusterd/master/master.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {

Status Master::LoadReservations() {
  reservations_.Clear();
  RETURN_IF_ERROR(store_.Scan(kReservationsTable, "",
                              [&](const std::string& key, const std::string& value) -> Status {
                                ASSIGN_OR_RETURN(master::v1::Reservation record,
                                                 ParseReservation(value), "reservation " + key);
                                reservations_.Put(std::move(record));
                                return Ok();
                              }));
  FollowReservations();
  return Ok();
}

Status Master::Reserve(master::v1::Reservation record) {
  RETURN_IF_ERROR(CheckReservation(record));
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(ReadUncertain());
  const std::string name = record.name();
  if (reservations_.records().contains(name)) {
    return Error(Code::kAlreadyExists, "there is a reservation '" + name + "' already");
  }
  if (reservations_.records().size() >= kReservationsKeptMax) {
    return Error(Code::kResourceExhausted, "there are " + std::to_string(kReservationsKeptMax) +
                                               " reservations: delete some");
  }
  if (record.vcluster() != 0 && !entries_.contains(record.vcluster())) {
    return Error(Code::kNotFound, "the Vcluster was just deleted");
  }
  if (record.until_unix_s() != 0 && record.until_unix_s() <= NowUnixMs() / 1000) {
    return Error(Code::kInvalidArgument, "its time is over already");
  }
  RETURN_IF_ERROR(Commit({{kReservationsTable, name, record.SerializeAsString()}}));
  reservations_.Put(std::move(record));
  FollowReservations();
  return Ok();
}

Status Master::Unreserve(const std::string& name) {
  const std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(ReadUncertain());
  if (!reservations_.records().contains(name)) {
    return Error(Code::kNotFound, "there is no reservation '" + name + "'");
  }
  RETURN_IF_ERROR(Commit({{kReservationsTable, name, std::nullopt}}));
  reservations_.Erase(name);
  FollowReservations();
  return Ok();
}

std::vector<master::v1::Reservation> Master::Reservations() const {
  const std::lock_guard lock(mutex_);
  std::vector<master::v1::Reservation> records;
  for (const auto& [name, record] : reservations_.records()) records.push_back(record);
  return records;
}

// Whoever found no room because of one that is over is looked at again.
void Master::FollowReservations() {
  std::vector<Reservation> in_force = reservations_.InForce(NowUnixMs() / 1000);
  std::sort(in_force.begin(), in_force.end(),
            [](const Reservation& a, const Reservation& b) { return a.name < b.name; });
  if (in_force == placer_.state().Reservations()) return;
  if (Status set = placer_.SetReservations(std::move(in_force)); !set.ok()) {
    LOG_WARNING("reservations: " + set.error().message());
    return;
  }
  for (const auto& [number, entry] : entries_) {
    if (entry.problem.has_value() || entry.no_room.has_value()) Touch(number);
  }
}

// REQUIRES: mutex_ is held.
void Master::DropReservations() {
  std::vector<std::string> gone = reservations_.Over(NowUnixMs() / 1000);
  for (const auto& [name, record] : reservations_.records()) {
    if (record.vcluster() != 0 && !entries_.contains(record.vcluster())) gone.push_back(name);
  }
  for (const std::string& name : gone) {
    if (Status dropped = Commit({{kReservationsTable, name, std::nullopt}}); !dropped.ok()) {
      LOG_WARNING("reservation " + name + ": " + dropped.error().message());
      return;
    }
    LOG_INFO("reservation " + name + " is over");
    reservations_.Erase(name);
  }
}

}  // namespace strata::vcluster
