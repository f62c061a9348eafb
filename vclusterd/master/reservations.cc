#include "vclusterd/master/reservations.h"

#include <algorithm>

namespace strata::vcluster {
namespace {

constexpr uint32_t kPiecesMax = 10'000;
// A piece of a class's nodes without a limit, as such nodes count (placer.cc).
constexpr double kDefaultCpus = 0.05;
constexpr uint64_t kDefaultMemoryBytes = 16u << 20;

Error Wrong(const std::string& what) { return Error(Code::kInvalidArgument, what); }

Reservation ToScheduler(const master::v1::Reservation& record) {
  Reservation reservation;
  reservation.name = record.name();
  reservation.holder =
      record.vcluster() != 0 ? Reservation::Holder::kVcluster : Reservation::Holder::kOwner;
  reservation.number = record.vcluster() != 0 ? record.vcluster() : record.owner_uid();
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
  if (static_cast<double>(piece.cpus_milli()) / 1000 > kSchedulerCpusMax ||
      piece.memory_bytes() > kSchedulerBytesMax || piece.disk_bytes() > kSchedulerBytesMax) {
    return Wrong("no host has that much");
  }
  if (record.pieces() == 0 || record.pieces() > kPiecesMax) {
    return Wrong("the pieces must be 1 to " + std::to_string(kPiecesMax));
  }
  if (record.hosts_size() > static_cast<int>(kLabelsMax)) {
    return Wrong("it names more than " + std::to_string(kLabelsMax) + " hosts");
  }
  if (std::any_of(record.hosts().begin(), record.hosts().end(), [](const std::string& host) {
        return host.empty() || host.size() > kTextSizeMax;
      })) {
    return Wrong("a host that cannot be");
  }
  if (record.until_unix_s() != 0 && record.until_unix_s() <= record.from_unix_s()) {
    return Wrong("it would end before it begins");
  }
  return Ok();
}

Result<master::v1::Reservation> ParseReservation(std::string_view bytes) {
  master::v1::Reservation record;
  if (!record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Error(Code::kCorrupt, "the record of a reservation cannot be read");
  }
  return record;
}

std::string GroupOfClass(const std::string& class_key) { return "class " + class_key; }

Reservation RoomForClass(const std::string& class_key, const Definition& definition,
                         uint32_t students) {
  Reservation room;
  room.name = GroupOfClass(class_key);
  room.holder = Reservation::Holder::kGroup;
  room.group = room.name;
  room.pieces = static_cast<uint32_t>(
      std::min<uint64_t>(uint64_t{definition.NodeCount()} * students, kReservedPiecesMax));
  for (const Role& role : definition.roles) {
    room.piece.cpus =
        std::max(room.piece.cpus, role.limits.cpus > 0 ? role.limits.cpus : kDefaultCpus);
    room.piece.memory_bytes =
        std::max(room.piece.memory_bytes,
                 role.limits.memory_bytes > 0 ? role.limits.memory_bytes : kDefaultMemoryBytes);
    room.piece.disk_bytes = std::max(room.piece.disk_bytes, role.limits.disk_bytes.value_or(0));
  }
  return room;
}

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
  for (const Reservation& room : classes_) {
    if (in_force.size() < kReservationsMax) in_force.push_back(room);
  }
  return in_force;
}

}  // namespace strata::vcluster
