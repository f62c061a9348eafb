// Proposals to move nodes that are placed: away from neighbours that slow them down, off hosts
// under pressure (container multi-cloud, III.D), and off a host that is to be emptied. Nothing is
// done: the caller moves what it likes, tells the state (MoveNode), and asks again.
//
// Nodes do not wander. A move for less interference must make the sum of interference smaller by a
// margin, and a move off a pressed host never makes it larger. Off a pressed host a node must find
// its new one less used than the old one was, by a margin. Reports count only where they cover the
// time since the last move (HostReport::settled): pressure of others is not relieved, and no node
// is sent to them. Nodes that are not movable stay; a node that was moved is not movable until
// UpdateNode says so.
//
// Every move keeps all "must" rules and reservations and goes to a host that is not pressed.
// Deterministic as place.h. Both calls work on a copy of the state.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "vclusterd/scheduler/model.h"
#include "vclusterd/scheduler/placement_state.h"

namespace strata::vcluster {

struct RebalanceLimits {
  uint32_t moves_max = 4;
  // Interference of a host: pairs of memory-heavy nodes, and half of the pairs of I/O-heavy ones. A
  // move must take away so much in all. Above 0.
  double interference_gain_min = 1.0;
  // The share of the resource in use must be lower by this on the new host, with the node, than it
  // was on the old one.
  double usage_gain_min = 0.1;
  // The pressure of the old host must fall by this, as estimated from the node's part of the usage.
  double pressure_gain_min = 0.05;
};

enum class MoveCause { kInterference, kPressure };

struct Move {
  NodeKey key;
  std::string name;
  std::string from;
  std::string to;
  MoveCause cause = MoveCause::kInterference;
  std::string reason;  // "two memory-heavy nodes on lab-1, none on lab-2"
  bool operator==(const Move&) const = default;
};

// In the order in which they are to be done; each counts on those before it. kInvalidArgument for
// limits that cannot be.
Result<std::vector<Move>> ProposeMoves(const PlacementState& state, const RebalanceLimits& limits);

struct DrainStep {
  NodeKey key;
  std::string name;
  std::string to;   // Empty: no host takes it.
  std::string why;  // Then.
  bool operator==(const DrainStep&) const = default;
};

// A step for every node of the host, in the order in which they are to be done: important nodes
// first, and those that must be with each other one after the other, all or none of them. Whether a
// node is movable is not looked at. Nothing goes to the host itself, whatever its condition.
// kNotFound.
Result<std::vector<DrainStep>> ProposeDrain(const PlacementState& state, const std::string& host);

}  // namespace strata::vcluster
