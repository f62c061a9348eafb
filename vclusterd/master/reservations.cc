#include "vclusterd/master/reservations.h"

#include <algorithm>

#include "vclusterd/definition/definition.h"
#include "vclusterd/scheduler/checks.h"

namespace strata::vcluster {
namespace {

constexpr uint32_t kPiecesMax = 10'000;

Error Wrong(const std::string& what) { return Error(Code::kInvalidArgument, what); }

Reservation ToScheduler(const master::v1::Reservation& record) {
  Reservation reservation;
  reservation.name = record.name();
  if (!record.class_key().empty()) {
    reservation.holder = Reservation::Holder::kGroup;
    reservation.group = GroupOfClass(record.class_key());
  } else if (record.vcluster() != 0) {
    reservation.holder = Reservation::Holder::kVcluster;
    reservation.number = record.vcluster();
  } else {
    reservation.number = record.owner_uid();
  }
  reservation.piece = {static_cast<double>(record.piece().cpus_milli()) / 1000,
                       record.piece().memory_bytes(), record.piece().disk_bytes()};
  reservation.pieces = record.pieces();
  reservation.hosts.assign(record.hosts().begin(), record.hosts().end());
  return reservation;
}

}  // namespace

Status CheckReservation(const master::v1::Reservation& record) {
  RETURN_IF_ERROR(CheckClusterName(record.name()), "a reservation's name");
  const master::v1::Amounts& piece = record.piece();
  if (piece.cpus_milli() == 0 && piece.memory_bytes() == 0 && piece.disk_bytes() == 0) {
    return Wrong("nothing would be kept: say --cpus, --memory or --disk");
  }
  if (record.pieces() == 0 || record.pieces() > kPiecesMax) {
    return Wrong("the pieces must be 1 to " + std::to_string(kPiecesMax));
  }
  if (record.until_unix_s() != 0 && record.until_unix_s() <= record.from_unix_s()) {
    return Wrong("it would end before it begins");
  }
  return CheckReservation(ToScheduler(record));
}

Result<master::v1::Reservation> ParseReservation(std::string_view bytes) {
  master::v1::Reservation record;
  if (!record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Error(Code::kCorrupt, "the record of a reservation cannot be read");
  }
  return record;
}

std::string GroupOfClass(const std::string& class_key) { return "class " + class_key; }

void ReservationTable::Put(master::v1::Reservation record) {
  const std::string name = record.name();
  records_[name] = std::move(record);
}

std::vector<std::string> ReservationTable::Over(int64_t now_unix_s) const {
  std::vector<std::string> over;
  for (const auto& [name, record] : records_) {
    if (record.until_unix_s() != 0 && record.until_unix_s() <= now_unix_s) over.push_back(name);
  }
  return over;
}

std::vector<Reservation> ReservationTable::InForce(int64_t now_unix_s) const {
  std::vector<Reservation> in_force;
  for (const auto& [name, record] : records_) {
    const bool over = record.until_unix_s() != 0 && record.until_unix_s() <= now_unix_s;
    if (record.from_unix_s() <= now_unix_s && !over) in_force.push_back(ToScheduler(record));
  }
  for (size_t i = 0; i < in_force.size(); ++i) in_force[i].name = "others-" + std::to_string(i + 1);
  return in_force;
}

}  // namespace strata::vcluster
