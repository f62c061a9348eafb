#include "vclusterd/master/plausible.h"

#include <cmath>
#include <set>

#include "net/subnets.h"

namespace strata::vcluster {
namespace {

using host::v1::NodeStatus;

constexpr size_t kNameBytesMax = 1024;
constexpr size_t kTextBytesMax = 8192;
constexpr int kHooksMax = 8;
constexpr int kForwardsMax = 1024;
constexpr double kCpusMax = 1e5;
constexpr double kSecondsMax = 1e9;
constexpr double kMeasuredMax = 1e15;
constexpr int64_t kUnixSecondsMax = 1'000'000'000'000;  // In milliseconds it is a number still.

bool IsFigure(double value, double most) {
  return std::isfinite(value) && value >= 0 && value <= most;
}

void Shorten(std::string* text, size_t bytes_max) {
  if (text->size() > bytes_max) *text = "(a text of " + std::to_string(text->size()) + " bytes)";
}

Code CodeOf(int told) {
  const bool is_one = told >= 0 && told <= static_cast<int>(Code::kInternal);
  return is_one ? static_cast<Code>(told) : Code::kInternal;
}

void Correct(NodeStatus* node) {
  if (!host::v1::NodeState_IsValid(node->state())) node->set_state(host::v1::UNKNOWN);
  node->set_problem_code(static_cast<int>(CodeOf(node->problem_code())));
  Shorten(node->mutable_problem(), kTextBytesMax);
  for (std::string* name :
       {node->mutable_image(), node->mutable_image_digest(), node->mutable_driver(),
        node->mutable_volume(), node->mutable_departure()}) {
    Shorten(name, kNameBytesMax);
  }
  if (!IsFigure(node->start_ms(), kSecondsMax * 1000)) node->clear_start_ms();
  if (node->has_usage() && !IsPlausible(node->usage())) node->clear_usage();
  if (node->has_measured()) {
    Shorten(node->mutable_measured()->mutable_problem(), kTextBytesMax);
    if (!IsFigure(node->measured().value(), kMeasuredMax)) node->clear_measured();
  }
  if (node->hooks_size() > kHooksMax) node->clear_hooks();
  if (node->forwards_size() > kForwardsMax) node->clear_forwards();
  for (host::v1::HookRun& hook : *node->mutable_hooks()) {
    Shorten(hook.mutable_hook(), kNameBytesMax);
    Shorten(hook.mutable_problem(), kTextBytesMax);
    Shorten(hook.mutable_output(), kTextBytesMax);
    if (!IsFigure(hook.seconds(), kSecondsMax)) hook.clear_seconds();
  }
}

}  // namespace

bool IsPlausible(const host::v1::Usage& usage) {
  return IsFigure(usage.cpus(), kCpusMax) && IsFigure(usage.seconds(), kSecondsMax) &&
         IsFigure(usage.cpu_pressure(), 1) && IsFigure(usage.memory_pressure(), 1) &&
         IsFigure(usage.io_pressure(), 1);
}

host::v1::UsageHistory Plausible(const host::v1::UsageHistory& history) {
  host::v1::UsageHistory plausible;
  for (const host::v1::UsagePoint& point : history.points()) {
    const bool is_time = point.unix_s() >= 0 && point.unix_s() <= kUnixSecondsMax;
    if (is_time && IsPlausible(point.usage())) *plausible.add_points() = point;
  }
  return plausible;
}

std::optional<Error> ProblemOf(const host::v1::PartStatus& status) {
  if (status.problem().empty()) return std::nullopt;
  std::string problem = status.problem();
  Shorten(&problem, kTextBytesMax);
  return Error(CodeOf(status.problem_code()), std::move(problem));
}

Result<host::v1::PartStatus> Plausible(const host::v1::PartStatus& status) {
  const std::string name = "Vcluster " + std::to_string(status.number());
  if (status.number() == 0) return Error(Code::kInvalidArgument, "a Vcluster without a number");
  if (status.nodes_size() > static_cast<int>(net::kNodesMaxPerCluster)) {
    return Error(Code::kInvalidArgument,
                 name + " with " + std::to_string(status.nodes_size()) + " nodes");
  }
  host::v1::PartStatus plausible = status;
  std::set<uint32_t> seen;
  for (NodeStatus& node : *plausible.mutable_nodes()) {
    if (node.index() >= net::kNodesMaxPerCluster || !seen.insert(node.index()).second) {
      return Error(Code::kInvalidArgument,
                   "node " + std::to_string(node.index()) + " of " + name + ", or twice");
    }
    Correct(&node);
  }
  return plausible;
}

}  // namespace strata::vcluster
