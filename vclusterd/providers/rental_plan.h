// Whether a machine is to be rented, and which: a pure decision. For a Vcluster that has no room
// the question is put to the scheduler itself, with the machines of an offer added to the hosts: as
// many of one kind as make all of it fit. Of the offers for which that is so the cheapest in all is
// taken, then the one of fewest machines, then by name.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "vclusterd/providers/provider.h"
#include "vclusterd/scheduler/placement_state.h"

namespace strata::vcluster {

// What may be rented of a provider.
struct ProviderRules {
  std::string name;
  uint32_t machines_max = 1;
  double price_per_hour_max = 0;    // Of all its machines together.
  std::vector<std::string> owners;  // For whose Vclusters; none: everybody's.
};

struct ProviderState {
  ProviderRules rules;
  std::vector<Offer> offers;
  uint32_t machines = 0;      // That cost something now…
  double price_per_hour = 0;  // …and how much.
  bool starting = false;      // One is on its way: no other is started meanwhile.
  std::string unusable;       // Why nothing of it is rented now; empty: it may be.
};

struct WantedRoom {
  VclusterDemand demand;
  std::string owner;
};

struct RentalQuestion {
  PlacementState state;
  std::vector<WantedRoom> wanted;  // The most important first.
  std::vector<HostOffer> coming;   // Machines that are rented and not there yet.
  std::vector<ProviderState> providers;
  double overcommit_cpus = 1;
  double overcommit_memory = 1;
};

struct RoomAnswer {
  bool wait = false;  // A machine is on its way.
  std::string why;    // For people.
};

struct RentalChoice {
  size_t provider = 0;
  size_t offer = 0;
  uint32_t vcluster = 0;  // For which it is.
};

struct RentalDecision {
  std::map<uint32_t, RoomAnswer> answers;  // By number of the Vcluster; all that were asked for.
  std::optional<RentalChoice> start;       // One at a time.
};

// A machine of the offer as a host. `name`: unique among hosts.
HostOffer HostOf(const Offer& offer, const std::string& name, const RentalQuestion& question);

RentalDecision PlanRentals(const RentalQuestion& question);

}  // namespace strata::vcluster
