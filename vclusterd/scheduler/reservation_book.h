// ReservationBook: what of every host is kept free for whom, kept up as nodes come and go.
//
// A reservation on named hosts keeps, on each of them, what its holder's nodes there do not use
// yet. Those add up. One that may lie anywhere keeps as many pieces as its holder's nodes do not
// use yet: a node of somebody else is refused where it would leave fewer places for such pieces
// than are needed, or less room in all than all of these reservations together need. (That the
// pieces of several of them fit beside each other is not looked at.) What is broken already,
// because a host was lost, refuses only what makes it worse.
//
// Owned by its PlacementState, which tells it of every change. Not thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "vclusterd/scheduler/amounts.h"
#include "vclusterd/scheduler/model.h"
#include "vclusterd/scheduler/target_counts.h"

namespace strata::vcluster {

// What a host has left.
struct FreeRoom {
  Amounts amounts;         // Limit less what is requested; may be below 0.
  int64_t nodes_left = 0;  // How many more nodes it may have.
  bool open = false;       // It is ready.
};

class ReservationBook {
 public:
  // Starts anew, without nodes. REQUIRES: checked, names unique.
  void Reset(std::vector<Reservation> reservations, size_t slots,
             const std::function<std::optional<HostSlot>(const std::string&)>& find_host);

  const std::vector<Reservation>& reservations() const { return reservations_; }  // By name.
  bool empty() const { return reservations_.empty(); }

  // A node comes (`sign` 1) or goes (-1). Refresh the host afterwards.
  void Count(const NodeDemand& demand, const Amounts& amounts, HostSlot slot, int sign);
  // REQUIRES: `slot` < slots of Reset.
  void Refresh(HostSlot slot, const FreeRoom& free);

  // What named hosts keep for others than this node.
  Amounts KeptFrom(const NodeDemand& demand, HostSlot slot) const;
  // Names of those for whom that is, "'exam' and 'course'".
  std::string KeepersFrom(const NodeDemand& demand, HostSlot slot) const;
  // The reservation anywhere that would suffer when the node came to this host; null: none.
  const Reservation* Blocking(const NodeDemand& demand, const Amounts& amounts, HostSlot slot,
                              const FreeRoom& free) const;

 private:
  struct Hold {  // Of a named host.
    size_t reservation;
    Amounts total;
    Amounts used;
  };
  struct Floating {
    size_t reservation;
    Amounts piece;
    Amounts total;
    Amounts used;
    std::vector<int64_t> fits;  // By slot: pieces that fit on it.
    int64_t fits_total = 0;
  };

  static int64_t PiecesLeft(const Floating& floating);
  static int64_t PiecesIn(const Amounts& piece, const Amounts& room, int64_t nodes_left);
  static bool Holds(const Reservation& reservation, const NodeDemand& demand);
  // Room for reservations anywhere; with `arriving`, after this node came.
  Amounts RoomOn(HostSlot slot, const FreeRoom& free, const NodeDemand* arriving,
                 const Amounts& amounts) const;

  std::vector<Reservation> reservations_;
  std::vector<std::vector<Hold>> holds_;  // By slot.
  std::vector<Floating> floating_;
  std::vector<Amounts> room_;  // By slot.
  Amounts room_total_;
};

}  // namespace strata::vcluster
