#include "net/health.h"

namespace strata::net {

void TargetHealth::Watch(const std::set<TargetAddress>& targets, Clock::time_point now) {
  std::erase_if(states_, [&](const auto& state) { return !targets.contains(state.first); });
  for (const TargetAddress& target : targets) {
    const auto [state, added] = states_.try_emplace(target);
    if (added) state->second.due = now;
  }
}

std::vector<TargetAddress> TargetHealth::Start(Clock::time_point now, size_t most) {
  std::vector<TargetAddress> started;
  for (auto& [target, state] : states_) {
    if (started.size() >= most) break;
    if (state.under_check || state.due > now) continue;
    state.under_check = true;
    started.push_back(target);
  }
  return started;
}

bool TargetHealth::Note(const TargetAddress& target, bool took, Clock::time_point now) {
  NoteNothing(target, now);
  const auto found = states_.find(target);
  if (found == states_.end()) return false;
  State& state = found->second;
  state.against = took == state.up ? 0 : state.against + 1;
  if (state.against < (state.up ? options_.fall : options_.rise)) return false;
  state.up = took;
  state.against = 0;
  return true;
}

void TargetHealth::NoteNothing(const TargetAddress& target, Clock::time_point now) {
  const auto found = states_.find(target);
  if (found == states_.end()) return;
  found->second.under_check = false;
  found->second.due = now + options_.interval;
}

TargetHealth::Clock::time_point TargetHealth::Next() const {
  auto next = Clock::time_point::max();
  for (const auto& [target, state] : states_) {
    if (!state.under_check) next = std::min(next, state.due);
  }
  return next;
}

std::set<TargetAddress> TargetHealth::Down() const {
  std::set<TargetAddress> down;
  for (const auto& [target, state] : states_) {
    if (!state.up) down.insert(target);
  }
  return down;
}

std::set<TargetAddress> TargetsOf(const DesiredNetwork& desired) {
  std::set<TargetAddress> targets;
  for (const Bridge& bridge : desired.bridges) {
    for (const BalancedForward& balanced : bridge.balanced) {
      if (balanced.protocol != Protocol::kTcp) continue;
      for (const Target& target : balanced.targets) targets.emplace(target.address, target.port);
    }
  }
  return targets;
}

void MarkDown(const std::set<TargetAddress>& down, DesiredNetwork* desired) {
  for (Bridge& bridge : desired->bridges) {
    for (BalancedForward& balanced : bridge.balanced) {
      for (Target& target : balanced.targets) {
        target.up = balanced.protocol != Protocol::kTcp ||
                    !down.contains(TargetAddress(target.address, target.port));
      }
    }
  }
}

}  // namespace strata::net
