#include "vclusterd/scheduler/reservation_book.h"

#include <algorithm>
#include <limits>

namespace strata::vcluster {
namespace {

Amounts Times(const Amounts& amounts, int64_t count) {
  return {amounts.milli_cpus * count, amounts.memory_bytes * count, amounts.disk_bytes * count};
}

// One resource is short after, and was less so before.
bool Worsens(const Amounts& before, const Amounts& after, const Amounts& needed) {
  const auto worse = [](int64_t was, int64_t is, int64_t need) { return is < need && is < was; };
  return worse(before.milli_cpus, after.milli_cpus, needed.milli_cpus) ||
         worse(before.memory_bytes, after.memory_bytes, needed.memory_bytes) ||
         worse(before.disk_bytes, after.disk_bytes, needed.disk_bytes);
}

}  // namespace

void ReservationBook::Reset(
    std::vector<Reservation> reservations, size_t slots,
    const std::function<std::optional<HostSlot>(const std::string&)>& find_host) {
  reservations_ = std::move(reservations);
  std::sort(reservations_.begin(), reservations_.end(),
            [](const Reservation& a, const Reservation& b) { return a.name < b.name; });
  holds_.assign(slots, {});
  room_.assign(slots, {});
  floating_.clear();
  room_total_ = {};
  for (size_t i = 0; i < reservations_.size(); ++i) {
    const Amounts piece = AmountsOf(reservations_[i].piece);
    const Amounts total = Times(piece, reservations_[i].pieces);
    for (const std::string& host : reservations_[i].hosts) {
      const std::optional<HostSlot> slot = find_host(host);
      if (slot) holds_[*slot].push_back({i, total, {}});
    }
    if (reservations_[i].hosts.empty()) {
      floating_.push_back({i, piece, total, {}, std::vector<int64_t>(slots, 0), 0});
    }
  }
}

bool ReservationBook::Holds(const Reservation& reservation, const NodeDemand& demand) {
  switch (reservation.holder) {
    case Reservation::Holder::kOwner:
      return demand.owner_uid == reservation.number;
    case Reservation::Holder::kGroup:
      return demand.group == reservation.group;
    case Reservation::Holder::kVcluster:
      return demand.key.vcluster == reservation.number;
  }
  return false;
}

void ReservationBook::Count(const NodeDemand& demand, const Amounts& amounts, HostSlot slot,
                            int sign) {
  const Amounts change = Times(amounts, sign);
  for (Hold& hold : holds_[slot]) {
    if (Holds(reservations_[hold.reservation], demand)) hold.used += change;
  }
  for (Floating& floating : floating_) {
    if (Holds(reservations_[floating.reservation], demand)) floating.used += change;
  }
}

Amounts ReservationBook::RoomOn(HostSlot slot, const FreeRoom& free, const NodeDemand* arriving,
                                const Amounts& amounts) const {
  if (!free.open || free.nodes_left <= 0) return {};
  Amounts room = free.amounts;
  for (const Hold& hold : holds_[slot]) {
    Amounts left = hold.total - hold.used;
    if (arriving != nullptr && Holds(reservations_[hold.reservation], *arriving)) left -= amounts;
    room -= left.Positive();
  }
  return room.Positive();
}

int64_t ReservationBook::PiecesIn(const Amounts& piece, const Amounts& room, int64_t nodes_left) {
  int64_t count = std::max<int64_t>(nodes_left, 0);
  if (piece.milli_cpus > 0) count = std::min(count, room.milli_cpus / piece.milli_cpus);
  if (piece.memory_bytes > 0) count = std::min(count, room.memory_bytes / piece.memory_bytes);
  if (piece.disk_bytes > 0) count = std::min(count, room.disk_bytes / piece.disk_bytes);
  return count;
}

int64_t ReservationBook::PiecesLeft(const Floating& floating) {
  const Amounts left = (floating.total - floating.used).Positive();
  const auto pieces = [](int64_t amount, int64_t piece) {
    return piece > 0 ? (amount + piece - 1) / piece : 0;
  };
  return std::max({pieces(left.milli_cpus, floating.piece.milli_cpus),
                   pieces(left.memory_bytes, floating.piece.memory_bytes),
                   pieces(left.disk_bytes, floating.piece.disk_bytes)});
}

void ReservationBook::Refresh(HostSlot slot, const FreeRoom& free) {
  if (floating_.empty()) return;
  const Amounts room = RoomOn(slot, free, nullptr, {});
  room_total_ += room - room_[slot];
  room_[slot] = room;
  for (Floating& floating : floating_) {
    const int64_t fits = free.open ? PiecesIn(floating.piece, room, free.nodes_left) : 0;
    floating.fits_total += fits - floating.fits[slot];
    floating.fits[slot] = fits;
  }
}

Amounts ReservationBook::KeptFrom(const NodeDemand& demand, HostSlot slot) const {
  Amounts kept;
  if (empty()) return kept;
  for (const Hold& hold : holds_[slot]) {
    if (!Holds(reservations_[hold.reservation], demand))
      kept += (hold.total - hold.used).Positive();
  }
  return kept;
}

std::string ReservationBook::KeepersFrom(const NodeDemand& demand, HostSlot slot) const {
  std::string names;
  if (empty()) return names;
  for (const Hold& hold : holds_[slot]) {
    if (Holds(reservations_[hold.reservation], demand)) continue;
    if ((hold.total - hold.used).Positive() == Amounts{}) continue;
    names += (names.empty() ? "'" : " and '") + reservations_[hold.reservation].name + "'";
  }
  return names;
}

const Reservation* ReservationBook::Blocking(const NodeDemand& demand, const Amounts& amounts,
                                             HostSlot slot, const FreeRoom& free) const {
  if (floating_.empty()) return nullptr;
  const FreeRoom after = {free.amounts - amounts, free.nodes_left - 1, free.open};
  const Amounts room = RoomOn(slot, after, &demand, amounts);
  const Amounts room_total = room_total_ - room_[slot] + room;
  Amounts needed;  // By those that are not the node's own.
  for (const Floating& floating : floating_) {
    const Reservation& reservation = reservations_[floating.reservation];
    if (Holds(reservation, demand)) continue;
    const int64_t fits = PiecesIn(floating.piece, room, after.nodes_left);
    const int64_t fits_total = floating.fits_total - floating.fits[slot] + fits;
    if (fits_total < PiecesLeft(floating) && fits_total < floating.fits_total) return &reservation;
    needed += (floating.total - floating.used).Positive();
    if (Worsens(room_total_, room_total, needed)) return &reservation;
  }
  return nullptr;
}

}  // namespace strata::vcluster
