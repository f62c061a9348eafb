#include "vclusterd/providers/rental_plan.h"

#include <algorithm>
#include <tuple>

#include "vclusterd/scheduler/place.h"

namespace strata::vcluster {
namespace {

// Of one kind, for one Vcluster; and Vclusters that are looked at in one decision.
constexpr uint32_t kCopiesMax = 16;
constexpr size_t kLookedAtMax = 16;

bool Fits(PlacementState* state, const VclusterDemand& demand) {
  PlacementRequest request;
  request.vclusters.push_back(demand);
  const auto placed = Place(state, request);
  return placed.ok() && !placed->front().error.has_value();
}

// The fewest machines of the offer with which the demand fits; they are in `state` then.
std::optional<uint32_t> CopiesNeeded(const RentalQuestion& question, const Offer& offer,
                                     const VclusterDemand& demand, uint32_t copies_max,
                                     PlacementState* state) {
  PlacementState with = *state;
  for (uint32_t copies = 1; copies <= copies_max; ++copies) {
    const std::string name = "~rented-" + std::to_string(with.order().size());
    if (!with.PutHost(HostOf(offer, name, question)).ok()) return std::nullopt;
    PlacementState tried = with;
    if (!Fits(&tried, demand)) continue;
    *state = std::move(tried);
    return copies;
  }
  return std::nullopt;
}

bool MayUse(const ProviderRules& rules, const std::string& owner) {
  return rules.owners.empty() ||
         std::find(rules.owners.begin(), rules.owners.end(), owner) != rules.owners.end();
}

// How many more machines of the offer the rules allow.
uint32_t CopiesAllowed(const ProviderState& provider, const Offer& offer) {
  uint32_t copies = 0;
  double price = provider.price_per_hour + offer.price_per_hour;
  while (copies < kCopiesMax && provider.machines + copies < provider.rules.machines_max &&
         price <= provider.rules.price_per_hour_max) {
    ++copies;
    price += offer.price_per_hour;
  }
  return copies;
}

struct Candidate {
  RentalChoice choice;
  double cost = 0;
  uint32_t copies = 0;
  PlacementState state;
};

class Planner {
 public:
  explicit Planner(const RentalQuestion& question) : question_(question), state_(question.state) {
    for (const HostOffer& host : question.coming) (void)state_.PutHost(host);
  }

  RentalDecision Plan() {
    size_t looked_at = 0;
    for (const WantedRoom& wanted : question_.wanted) {
      RoomAnswer& answer = decision_.answers[wanted.demand.number];
      if (Fits(&state_, wanted.demand)) {
        answer = {true, "a rented host is on its way"};
      } else if (++looked_at > kLookedAtMax) {
        answer = {true, "others are served first"};
      } else {
        answer = Serve(wanted);
      }
    }
    return std::move(decision_);
  }

 private:
  RoomAnswer Serve(const WantedRoom& wanted) {
    std::optional<Candidate> best;
    std::string why;
    for (size_t p = 0; p < question_.providers.size(); ++p) {
      const ProviderState& provider = question_.providers[p];
      const std::string refused = Look(wanted, p, &best);
      if (!refused.empty()) why += (why.empty() ? "" : "; ") + provider.rules.name + ": " + refused;
    }
    if (!best.has_value()) return {false, "no machine is rented: " + why};
    const ProviderState& provider = question_.providers[best->choice.provider];
    const Offer& offer = provider.offers[best->choice.offer];
    state_ = std::move(best->state);
    if (!provider.starting && !decision_.start.has_value()) decision_.start = best->choice;
    return {true, "a host is rented of " + provider.rules.name + " (" + offer.name + ")"};
  }

  // Takes an offer of the provider as the best if it is; otherwise why none would do.
  std::string Look(const WantedRoom& wanted, size_t index, std::optional<Candidate>* best) const {
    const ProviderState& provider = question_.providers[index];
    if (!provider.unusable.empty()) return provider.unusable;
    if (!MayUse(provider.rules, wanted.owner)) return "not for " + wanted.owner;
    bool any = false;
    bool allowed = false;
    for (size_t i = 0; i < provider.offers.size(); ++i) {
      const Offer& offer = provider.offers[i];
      const uint32_t copies_max = CopiesAllowed(provider, offer);
      allowed |= copies_max > 0;
      PlacementState state = state_;
      const auto copies = CopiesNeeded(question_, offer, wanted.demand, copies_max, &state);
      if (!copies.has_value()) continue;
      any = true;
      Candidate candidate{{index, i, wanted.demand.number},
                          *copies * offer.price_per_hour,
                          *copies,
                          std::move(state)};
      const auto rank = [&](const Candidate& c) {
        const ProviderState& of = question_.providers[c.choice.provider];
        return std::tuple(c.cost, c.copies, of.rules.name, of.offers[c.choice.offer].name);
      };
      if (!best->has_value() || rank(candidate) < rank(**best)) *best = std::move(candidate);
    }
    if (any) return "";
    if (provider.offers.empty()) return "it offers nothing";
    return allowed ? "no offer of it is large enough" : "its limit of machines or price is reached";
  }

  const RentalQuestion& question_;
  PlacementState state_;
  RentalDecision decision_;
};

}  // namespace

HostOffer HostOf(const Offer& offer, const std::string& name, const RentalQuestion& question) {
  HostOffer host;
  host.name = name;
  host.cpus = offer.cpus;
  host.memory_bytes = offer.memory_bytes;
  host.disk_bytes = offer.disk_bytes;
  host.overcommit_cpus = question.overcommit_cpus;
  host.overcommit_memory = question.overcommit_memory;
  host.labels = offer.labels;
  return host;
}

RentalDecision PlanRentals(const RentalQuestion& question) { return Planner(question).Plan(); }

}  // namespace strata::vcluster
