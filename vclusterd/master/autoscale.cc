#include "vclusterd/master/autoscale.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "common/printable.h"

namespace strata::vcluster {

namespace {

std::optional<double> MeanCpuPercent(const Vcluster& vcluster, const Role& role,
                                     const NodeStates& states) {
  const double allowed = role.limits.cpus > 0 ? role.limits.cpus : 1;
  double sum = 0;
  uint32_t count = 0;
  for (const master::v1::Node& node : vcluster.record.nodes()) {
    if (node.role() != role.name || node.leaving()) continue;
    const auto state = states.find(node.index());
    if (state == states.end() || state->second.state() != host::v1::READY) continue;
    if (!state->second.has_usage()) return std::nullopt;
    sum += state->second.usage().cpus() / allowed * 100;
    ++count;
  }
  if (count == 0) return std::nullopt;
  return sum / count;
}

std::optional<Result<double>> MeasuredOf(const Vcluster& vcluster, const Role& role,
                                         const NodeStates& states) {
  for (const master::v1::Node& node : vcluster.record.nodes()) {
    const auto state = states.find(node.index());
    if (node.role() != role.name || node.leaving() || state == states.end()) continue;
    if (state->second.state() != host::v1::READY || !state->second.has_measured()) continue;
    const host::v1::Measured& measured = state->second.measured();
    if (!measured.problem().empty()) {
      return Error(Code::kFailedPrecondition,
                   "autoscale of role " + role.name + ": " + Printable(measured.problem()));
    }
    return measured.value();
  }
  return std::nullopt;
}

std::string Short(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.4g", value);
  return text;
}

}  // namespace

std::optional<Result<Need>> NeedOf(const Vcluster& vcluster, const Role& role,
                                   const NodeStates& states) {
  const Autoscale& rule = *role.autoscale;
  if (rule.argv.empty()) {
    const auto percent = MeanCpuPercent(vcluster, role, states);
    if (!percent.has_value() || rule.cpu_percent <= 0) return std::nullopt;
    return Need{role.count * *percent / rule.cpu_percent,
                "at " + std::to_string(static_cast<int>(*percent)) + " % of its CPUs"};
  }
  const auto measured = MeasuredOf(vcluster, role, states);
  if (!measured.has_value() || rule.target_per_node <= 0) return std::nullopt;
  if (!measured->ok()) return measured->error();
  return Need{**measured / rule.target_per_node,
              "at " + Short(**measured) + ", " + Short(rule.target_per_node) + " for each node"};
}

uint32_t RoleScaler::Decide(const Autoscale& rule, uint32_t count, double need, int64_t now_ms) {
  const auto every_ms = std::chrono::milliseconds(rule.every).count();
  if (decided_ms_ != 0 && now_ms - decided_ms_ < every_ms) return count;
  decided_ms_ = now_ms;
  const double wanted = std::ceil(need - 1e-9);
  const auto needed = static_cast<uint32_t>(
      std::clamp<double>(wanted, std::max(rule.min, 1u), std::max(rule.max, 1u)));
  if (needed >= count) {
    too_large_since_ms_.reset();
    return needed;
  }
  if (!too_large_since_ms_.has_value()) {
    too_large_since_ms_ = now_ms;
    most_needed_ = needed;
  }
  most_needed_ = std::max(most_needed_, needed);
  if (now_ms - *too_large_since_ms_ < std::chrono::milliseconds(rule.shrink_after).count()) {
    return count;
  }
  too_large_since_ms_.reset();
  return most_needed_;
}

void IdleWatch::Look(const NodeStates& states, int64_t now_ms) {
  const bool idle = std::all_of(states.begin(), states.end(), [](const auto& state) {
    const host::v1::NodeStatus& status = state.second;
    if (status.state() == host::v1::STOPPED) return true;
    // One that broke down may run all the same: its check failed.
    const bool settled = status.state() == host::v1::READY || status.state() == host::v1::BREAKDOWN;
    return settled && status.has_usage() && status.usage().cpus() < kIdleCpusMax;
  });
  if (!idle || !active_ms_.has_value()) active_ms_ = now_ms;
}

int64_t IdleWatch::IdleMs(int64_t now_ms) const {
  return active_ms_.has_value() ? now_ms - *active_ms_ : 0;
}

}  // namespace strata::vcluster
