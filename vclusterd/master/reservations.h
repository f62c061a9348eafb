// Reservations: room that is kept for somebody, from a time to a time: those that an admin has
// made, which are records, and those of classes that begin soon, which follow from theirs.
//
// Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/result.h"
#include "vclusterd/api/records.pb.h"
#include "vclusterd/definition/definition.h"
#include "vclusterd/scheduler/model.h"

namespace strata::vcluster {

inline constexpr size_t kReservationsKeptMax = 128;  // Of admins, whether they hold now or not.

// kInvalidArgument: a name, an amount or a time that cannot be.
Status CheckReservation(const master::v1::Reservation& record);
Result<master::v1::Reservation> ParseReservation(std::string_view bytes);

// For the nodes of a class: whom NodeDemand::group names.
std::string GroupOfClass(const std::string& class_key);
// Room for `students` Vclusters of the definition: a piece for each node, as large as the largest.
// REQUIRES: there is a node.
Reservation RoomForClass(const std::string& class_key, const Definition& definition,
                         uint32_t students);

class ReservationTable {
 public:
  const std::map<std::string, master::v1::Reservation>& records() const { return records_; }
  void Put(master::v1::Reservation record);
  void Erase(const std::string& name) { records_.erase(name); }
  // Those whose time is over.
  std::vector<std::string> Over(int64_t now_unix_s) const;
  // For classes, instead of those before.
  void SetClasses(std::vector<Reservation> classes) { classes_ = std::move(classes); }

  // All that hold then, admins' first; the scheduler takes kReservationsMax.
  std::vector<Reservation> InForce(int64_t now_unix_s) const;

 private:
  std::map<std::string, master::v1::Reservation> records_;  // By name.
  std::vector<Reservation> classes_;
};

}  // namespace strata::vcluster
