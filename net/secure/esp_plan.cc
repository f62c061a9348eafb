#include "net/secure/esp_plan.h"

#include <algorithm>

namespace strata::net {
namespace {

EspWay Reversed(const EspWay& way) {
  return {way.destination, way.source, way.inner_destination, way.inner_source};
}

// A kernel that is locked down shows zeros for keys (lockdown(7), confidentiality).
bool IsSame(const EspState& there, const EspState& wanted) {
  return there.is_ours && there.way == wanted.way && there.spi == wanted.spi &&
         (there.key == wanted.key || there.key == EspKey());
}

bool Contains(const std::vector<EspState>& states, const EspState& one) {
  return std::any_of(states.begin(), states.end(),
                     [&](const EspState& state) { return IsSame(state, one); });
}

template <typename T>
bool Contains(const std::vector<T>& values, const T& one) {
  return std::find(values.begin(), values.end(), one) != values.end();
}

std::string WayText(const EspWay& way) {
  return way.inner_source.ToString() + " to " + way.inner_destination.ToString();
}

std::string StateText(const EspState& state) {
  return "esp " + WayText(state.way) + " by " + state.way.source.ToString() + " to " +
         state.way.destination.ToString() + " spi " + std::to_string(state.spi);
}

std::string PolicyText(const EspPolicy& policy) {
  return std::string("policy ") + (policy.out ? "out " : "in ") + WayText(policy.way);
}

}  // namespace

Result<EspPlan> MakeEspPlan(const SecureFabric& fabric, const ObservedEsp& observed) {
  EspPlan plan;
  std::vector<EspState> keep;  // Where they are there.
  std::vector<EspPolicy> policies;
  for (const FabricPeer& peer : fabric.peers) {
    if (!peer.session) continue;
    const EspWay out = {*fabric.endpoint->ipv4(), *peer.endpoint->ipv4(), fabric.address,
                        peer.address};
    const EspWay in = Reversed(out);
    const EspOther other = {peer.key, *peer.session, peer.preshared};
    ASSIGN_OR_RETURN(const EspSecrets now, DeriveEspSecrets({fabric.key, fabric.session}, other),
                     "keys with " + peer.host);
    const std::vector<EspState> wanted = {{in, now.in.spi, now.in.key},
                                          {out, now.out.spi, now.out.key}};
    for (const EspState& state : wanted) {
      keep.push_back(state);
      if (Contains(observed.states, state)) continue;
      if (observed.used_sessions.contains(*peer.session)) plan.renew_session = true;
      plan.add_states.push_back(state);
      if (!Contains(plan.use_sessions, *peer.session)) plan.use_sessions.push_back(*peer.session);
    }
    // Until the other end knows the present session it sends by the one before.
    if (fabric.previous_session) {
      ASSIGN_OR_RETURN(const EspSecrets before,
                       DeriveEspSecrets({fabric.key, *fabric.previous_session}, other));
      keep.push_back({in, before.in.spi, before.in.key});
    }
    policies.push_back({false, in, 0});
    policies.push_back({true, out, now.out.spi});
  }
  if (plan.renew_session) return EspPlan{.renew_session = true};
  for (const EspState& there : observed.states) {
    const bool kept = std::any_of(keep.begin(), keep.end(),
                                  [&](const EspState& state) { return IsSame(there, state); });
    if (!kept) plan.remove_states.push_back(there);
  }
  for (const EspPolicy& policy : policies) {
    if (!Contains(observed.policies, policy)) plan.set_policies.push_back(policy);
  }
  for (const EspPolicy& there : observed.policies) {
    // One that is set replaces the one of the same addresses within.
    const bool stays = std::any_of(policies.begin(), policies.end(), [&](const EspPolicy& one) {
      return one.out == there.out && one.way.inner_source == there.way.inner_source &&
             one.way.inner_destination == there.way.inner_destination;
    });
    if (!stays) plan.remove_policies.push_back(there);
  }
  return plan;
}

EspPlan RemovalOfEsp(const ObservedEsp& observed) {
  EspPlan plan;
  plan.remove_states = observed.states;
  plan.remove_policies = observed.policies;
  return plan;
}

std::vector<std::string> DescribeChanges(const EspPlan& plan, const std::string& device) {
  std::vector<std::string> lines;
  if (plan.renew_session) lines.push_back("~ session of " + device);
  const std::string of = " of " + device;
  for (const EspState& one : plan.remove_states) lines.push_back("- " + StateText(one) + of);
  for (const EspState& one : plan.add_states) lines.push_back("+ " + StateText(one) + of);
  for (const EspPolicy& one : plan.set_policies) lines.push_back("~ " + PolicyText(one) + of);
  for (const EspPolicy& one : plan.remove_policies) lines.push_back("- " + PolicyText(one) + of);
  return lines;
}

}  // namespace strata::net
