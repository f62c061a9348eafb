// A node that moves to another host with what it has written: what becomes of its record, step by
// step (docs/moves.md). Pure.
//
//   BeginMove    its host stops it and saves what it has written
//   ArriveMove   it was saved: it is the new host's, which makes it and does not start it
//   EndMove      it was made there, and starts; the old host removes the one it has
//   GoBack       at any time before EndMove: the old host starts it as it was stopped
//
// So whatever ends in between, one host has all of its data, and no two ever run it.
#pragma once

#include <optional>
#include <string>

#include "vclusterd/api/host.pb.h"
#include "vclusterd/master/vcluster.h"

namespace strata::vcluster {

// Why the node has to stay where it is; nullopt: it may move.
std::optional<std::string> WhyNotMovable(const Vcluster& vcluster, const master::v1::Node& node);

// REQUIRES: it may move. `drain`: because its host is drained.
void BeginMove(const std::string& to, const std::string& why, bool drain, master::v1::Node* node,
               master::v1::Vcluster* record);
// What its old host saves it as; unique among all moves.
std::string DepartureName(uint32_t number, const master::v1::Node& node);
bool IsDeparture(const std::string& reference, uint32_t number, const master::v1::Node& node);
// `saved`: of its old host, with the departure. `fenced`: all orders for the new one will say so.
void ArriveMove(const host::v1::NodeStatus& saved, bool fenced, master::v1::Node* node);
void EndMove(master::v1::Node* node);
void GoBack(master::v1::Node* node);

// It was saved, and its old host keeps it still.
inline bool IsArriving(const master::v1::Node& node) {
  return node.has_move() && !node.move().from().empty();
}
// The host whose room it takes: the new one, from the start.
inline const std::string& PlaceOf(const master::v1::Node& node) {
  return node.has_move() ? node.move().to() : node.host();
}
// The host that it leaves.
inline const std::string& OldHostOf(const master::v1::Node& node) {
  return IsArriving(node) ? node.move().from() : node.host();
}

// For people; empty when nothing of it moves.
std::string MoveNotice(const Vcluster& vcluster);

}  // namespace strata::vcluster
