#include "vclusterd/master/verdicts.h"

namespace strata::vcluster {
namespace {

Status ProblemOf(const Vcluster& vcluster, const master::v1::Node& node,
                 const host::v1::NodeStatus& status) {
  return Error(
      static_cast<Code>(status.problem_code()),
      "node " + vcluster.record.name() + "/" + vcluster.NodeName(node) + ": " + status.problem());
}

Error Meanwhile(const std::string& what) {
  return Error(Code::kFailedPrecondition, "the node was " + what + " again meanwhile");
}

Error Gone() { return Error(Code::kNotFound, "the Vcluster was just deleted"); }

bool IsLost(const VclusterView& view, uint32_t index) {
  return view.lost.contains(index) && !view.may_return.contains(index);
}

Error Lost(const VclusterView& view, const master::v1::Node& node) {
  return Error(Code::kUnavailable, "node " + view.vcluster->record.name() + "/" +
                                       view.vcluster->NodeName(node) + ": its host '" +
                                       view.lost.at(node.index()) +
                                       "' is lost; it follows when the host is back");
}

// The state that each node which is meant should come to.
std::optional<Status> AllAre(const VclusterView& view, std::optional<uint32_t> index,
                             host::v1::NodeState wanted) {
  if (view.vcluster == nullptr) return Status(Gone());
  if (view.problem.has_value()) return Status(*view.problem);
  const bool should_run = wanted == host::v1::READY;
  bool all = true;
  for (const master::v1::Node& node : view.vcluster->record.nodes()) {
    if ((index.has_value() && node.index() != *index) || node.leaving()) continue;
    if (node.wanted() != should_run) return Status(Meanwhile(should_run ? "stopped" : "started"));
    if (IsLost(view, node.index())) return Status(Lost(view, node));
    if (!view.current.contains(node.index())) {
      all = false;
      continue;
    }
    const host::v1::NodeStatus& status = view.states.at(node.index());
    if (status.state() == wanted) continue;
    if (status.state() == host::v1::BREAKDOWN || (!should_run && !status.problem().empty())) {
      return ProblemOf(*view.vcluster, node, status);
    }
    all = false;
  }
  return all && view.settled ? std::optional<Status>(Ok()) : std::nullopt;
}

bool IsAsWanted(const VclusterView& view, const master::v1::Node& node) {
  if (node.leaving() || !view.current.contains(node.index())) return false;
  const host::v1::NodeState state = view.states.at(node.index()).state();
  return state == (node.wanted() ? host::v1::READY : host::v1::STOPPED);
}

}  // namespace

std::optional<Status> AsWanted(const VclusterView& view) {
  if (view.vcluster == nullptr) return Status(Gone());
  if (view.problem.has_value()) return Status(*view.problem);
  bool all = view.settled;
  for (const master::v1::Node& node : view.vcluster->record.nodes()) {
    if (IsAsWanted(view, node)) continue;
    if (IsLost(view, node.index())) return Status(Lost(view, node));
    all = false;
    if (node.leaving() || !view.current.contains(node.index()) || !node.wanted()) continue;
    const host::v1::NodeStatus& status = view.states.at(node.index());
    if (status.state() == host::v1::BREAKDOWN) return ProblemOf(*view.vcluster, node, status);
  }
  return all ? std::optional<Status>(Ok()) : std::nullopt;
}

uint32_t CountAsWanted(const VclusterView& view) {
  if (view.vcluster == nullptr) return 0;
  uint32_t count = 0;
  for (const master::v1::Node& node : view.vcluster->record.nodes()) {
    if (IsAsWanted(view, node)) ++count;
  }
  return count;
}

std::optional<Status> IsGone(const VclusterView& view) {
  if (view.vcluster == nullptr) return Ok();
  if (!view.settled) return std::nullopt;
  if (view.problem.has_value()) return Status(*view.problem);
  for (const auto& [index, host] : view.lost) {
    if (IsLost(view, index)) return Status(Lost(view, *view.vcluster->FindNode(index)));
  }
  for (const auto& [index, status] : view.states) {
    if (status.problem().empty() || status.state() != host::v1::REMOVING) continue;
    return ProblemOf(*view.vcluster, *view.vcluster->FindNode(index), status);
  }
  return std::nullopt;
}

std::optional<Status> AllRun(const VclusterView& view, std::optional<uint32_t> index) {
  return AllAre(view, index, host::v1::READY);
}

std::optional<Status> AllStopped(const VclusterView& view, std::optional<uint32_t> index) {
  return AllAre(view, index, host::v1::STOPPED);
}

}  // namespace strata::vcluster
