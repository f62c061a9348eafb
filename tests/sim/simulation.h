// Simulation: one episode of a cluster of hosts and masters, from a seed: users who create, change
// and delete Vclusters, two at once, while hosts, masters, records and the network fail; then
// nothing fails any more, and what was asked for has to come true (docs/simulation.md).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "tests/sim/sim_host.h"

namespace strata::sim {

struct SimOptions {
  uint64_t seed = 1;
  unsigned hosts = 5;
  unsigned masters = 2;
  unsigned names = 4;        // Of Vclusters, for each of two users.
  unsigned nodes_max = 8;    // Of a role.
  unsigned first_nodes = 0;  // That are there before anything fails, in Vclusters of 100.
  seconds faulty{300};
  seconds operation_every{4};
  seconds fault_every{5};
  // So soon everything is as it should be when nothing fails any more.
  seconds settle_max{400};
  Mistake mistake = Mistake::kNone;
  bool trace = false;
};

struct SimResult {
  std::optional<std::string> failure;
  uint64_t events = 0;
  uint64_t commits = 0;
  uint64_t operations = 0;
  uint64_t failed_operations = 0;
  uint64_t faults = 0;
  uint64_t takeovers = 0;
  uint64_t recreated = 0;    // Nodes that were made anew on another host.
  double made_s = 0;         // Until the first nodes ran.
  double settled_s = 0;      // Of simulated time, after the last fault.
  uint64_t fingerprint = 0;  // Of everything that happened: the same for the same seed.
};

SimResult Simulate(const SimOptions& options);

}  // namespace strata::sim
