// Reservations: room that an admin keeps for somebody, from a time to a time.
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
#include "vclusterd/scheduler/model.h"

namespace strata::vcluster {

inline constexpr size_t kReservationsKeptMax = 128;  // Whether they hold now or not.

// kInvalidArgument: a name, an amount or a time that cannot be.
Status CheckReservation(const master::v1::Reservation& record);
Result<master::v1::Reservation> ParseReservation(std::string_view bytes);

// For the nodes of a class: whom NodeDemand::group names.
std::string GroupOfClass(const std::string& class_key);
class ReservationTable {
 public:
  const std::map<std::string, master::v1::Reservation>& records() const { return records_; }
  void Put(master::v1::Reservation record);
  void Erase(const std::string& name) { records_.erase(name); }
  // Those whose time is over.
  std::vector<std::string> Over(int64_t now_unix_s) const;
  void Clear() { records_.clear(); }

  // All that hold then, for the scheduler: whoever finds no room because of them sees "others-1",
  // not what they are called.
  std::vector<Reservation> InForce(int64_t now_unix_s) const;

 private:
  std::map<std::string, master::v1::Reservation> records_;  // By name.
};

}  // namespace strata::vcluster
