// Operations on whole Vclusters: create, clone, start, stop, delete.
#include <algorithm>

#include "common/log.h"
#include "net/plan.h"
#include "vclusterd/definition/format_file.h"
#include "vclusterd/master/clusters.h"
#include "vclusterd/master/user_names.h"

namespace strata::vcluster {
namespace {

constexpr uint32_t kClonesMax = 1000;

int64_t NowUnixMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Status ProblemOf(const Vcluster& vcluster, const master::v1::Node& node,
                 const host::v1::NodeStatus& status) {
  return Error(static_cast<Code>(status.problem_code()), "node " + vcluster.record.name() + "/" +
                                                             vcluster.NodeName(node) + ": " +
                                                             status.problem());
}

Error Meanwhile(const std::string& what) {
  return Error(Code::kFailedPrecondition, "the node was " + what + " again meanwhile");
}

Error Gone() { return Error(Code::kNotFound, "the Vcluster was just deleted"); }

// Every node is as it is wanted to be.
std::optional<Status> AsWanted(const VclusterView& view) {
  if (view.vcluster == nullptr) return Status(Gone());
  if (view.problem.has_value()) return Status(*view.problem);
  bool all = view.settled;
  for (const master::v1::Node& node : view.vcluster->record.nodes()) {
    if (!view.current.contains(node.index())) {
      all = false;
      continue;
    }
    const host::v1::NodeStatus& status = view.states.at(node.index());
    if (status.state() == host::v1::BREAKDOWN && node.wanted()) {
      return ProblemOf(*view.vcluster, node, status);
    }
    if (node.leaving() || status.state() != (node.wanted() ? host::v1::READY : host::v1::STOPPED)) {
      all = false;
    }
  }
  return all ? std::optional<Status>(Ok()) : std::nullopt;
}

std::optional<Status> IsGone(const VclusterView& view) {
  if (view.vcluster == nullptr) return Ok();
  if (!view.settled) return std::nullopt;
  if (view.problem.has_value()) return Status(*view.problem);
  for (const auto& [index, status] : view.states) {
    if (status.problem().empty() || status.state() != host::v1::REMOVING) continue;
    return ProblemOf(*view.vcluster, *view.vcluster->FindNode(index), status);
  }
  return std::nullopt;
}

std::vector<uint32_t> NumbersOf(const std::vector<VclusterPtr>& vclusters) {
  std::vector<uint32_t> numbers;
  for (const VclusterPtr& vcluster : vclusters) numbers.push_back(vcluster->record.number());
  return numbers;
}

}  // namespace

Result<ClusterView> Clusters::Create(uid_t caller, const Definition& definition,
                                     const std::string& driver, const ProgressFn& progress,
                                     const CancelToken& cancel) {
  RETURN_IF_ERROR(CheckDefinition(definition));
  ASSIGN_OR_RETURN(master::v1::Vcluster record, NewVcluster(definition, caller, NowUnixMs()));
  for (master::v1::Node& node : *record.mutable_nodes()) node.set_driver(driver);
  ASSIGN_OR_RETURN(const std::vector<VclusterPtr> made, Launch({record}, progress, cancel));
  return View(master_.Find(made[0]->record.number()), /*with_usage=*/false);
}

Result<std::vector<ClusterView>> Clusters::Clone(uid_t caller, const CloneParameters& parameters,
                                                 const ProgressFn& progress,
                                                 const CancelToken& cancel) {
  if (parameters.count == 0 || parameters.count > kClonesMax) {
    return Error(Code::kInvalidArgument,
                 "the number of clones must be 1 to " + std::to_string(kClonesMax));
  }
  ASSIGN_OR_RETURN(const Target source, FindTarget(caller, parameters.source));
  const Vcluster& pattern = *source.view.vcluster;
  if (pattern.record.phase() != master::v1::LIVE) {
    return Error(Code::kFailedPrecondition,
                 "Vcluster " + pattern.record.name() + " is not ready");
  }
  const std::string prefix =
      parameters.prefix.empty() ? pattern.record.name() + "-" : parameters.prefix;
  Definition definition = pattern.definition;
  if (!parameters.image.empty()) {
    for (Role& role : definition.roles) role.image = parameters.image;
  }
  std::vector<master::v1::Vcluster> records;
  for (uint32_t i = 1; i <= parameters.count; ++i) {
    definition.name = prefix + std::to_string(i);
    RETURN_IF_ERROR(CheckClusterName(definition.name));
    ASSIGN_OR_RETURN(master::v1::Vcluster record, NewVcluster(definition, caller, NowUnixMs()));
    for (int n = 0; n < record.nodes_size() && n < pattern.record.nodes_size(); ++n) {
      const master::v1::Node& from = pattern.record.nodes(n);
      record.mutable_nodes(n)->set_driver(from.driver());
      if (from.has_disk_bytes()) record.mutable_nodes(n)->set_disk_bytes(from.disk_bytes());
    }
    record.set_cloned_from(UserName(pattern.record.owner_uid()) + "/" + pattern.record.name());
    records.push_back(std::move(record));
  }
  ASSIGN_OR_RETURN(const std::vector<VclusterPtr> made,
                   Launch(std::move(records), progress, cancel));
  std::vector<ClusterView> views;
  for (const uint32_t number : NumbersOf(made)) {
    views.push_back(View(master_.Find(number), /*with_usage=*/false));
  }
  return views;
}

Result<std::vector<VclusterPtr>> Clusters::Launch(std::vector<master::v1::Vcluster> records,
                                                  const ProgressFn& progress,
                                                  const CancelToken& cancel) {
  uint32_t total = 0;
  for (const master::v1::Vcluster& record : records) {
    total += static_cast<uint32_t>(record.nodes_size());
  }
  progress("network", 0, total);
  ASSIGN_OR_RETURN(const std::vector<VclusterPtr> made, master_.Add(std::move(records)));
  const std::vector<uint32_t> numbers = NumbersOf(made);
  Status launched = master_.Await(
      numbers, AsWanted,
      [&](size_t) {
        uint32_t ready = 0;
        for (const uint32_t number : numbers) {
          for (const auto& [index, status] : master_.Find(number).states) {
            if (status.state() == host::v1::READY) ++ready;
          }
        }
        progress("start", ready, total);
      },
      cancel);
  if (launched.ok()) launched = cancel.Check();
  if (launched.ok()) {
    launched = master_.Change(numbers, [](master::v1::Vcluster* record) {
      record->set_phase(master::v1::LIVE);
      return Ok();
    });
  }
  if (launched.ok()) return made;
  if (Status removed = Remove(numbers, /*force=*/false); !removed.ok()) {
    LOG_ERROR("what was begun is removed as soon as that is possible: " +
              removed.error().message());
  }
  return launched.error();
}

Status Clusters::Remove(const std::vector<uint32_t>& numbers, bool force) {
  for (const uint32_t number : numbers) {
    Status changed = master_.Change({number}, [&](master::v1::Vcluster* record) {
      record->set_phase(master::v1::DELETING);
      if (force) record->set_force_removal(true);
      return Ok();
    });
    if (!changed.ok() && changed.error().code() != Code::kNotFound) return changed;
  }
  return master_.Await(numbers, IsGone, {}, CancelToken());
}

Status Clusters::Delete(uid_t caller, const std::string& name) {
  ASSIGN_OR_RETURN(const Target target, FindTarget(caller, name));
  if (target.index.has_value()) {
    return Error(Code::kInvalidArgument, "a Vcluster is deleted as a whole, not one node of it");
  }
  return Remove({target.view.vcluster->record.number()}, /*force=*/false);
}

Status Clusters::DeleteAll(bool force) {
  std::vector<uint32_t> numbers;
  for (const VclusterView& view : master_.All()) numbers.push_back(view.vcluster->record.number());
  return Remove(numbers, force);
}

Result<ClusterView> Clusters::Start(uid_t caller, const std::string& text) {
  ASSIGN_OR_RETURN(const Target target, FindTarget(caller, text));
  const uint32_t number = target.view.vcluster->record.number();
  RETURN_IF_ERROR(master_.Change({number}, [&](master::v1::Vcluster* record) -> Status {
    if (record->phase() != master::v1::LIVE) {
      return Error(Code::kFailedPrecondition, "Vcluster " + record->name() + " is not ready");
    }
    for (master::v1::Node& node : *record->mutable_nodes()) {
      if (target.index.has_value() && node.index() != *target.index) continue;
      node.set_wanted(true);
      const auto state = target.view.states.find(node.index());
      const bool runs =
          state != target.view.states.end() && state->second.state() == host::v1::READY;
      if (!runs) node.set_attempt(node.attempt() + 1);
    }
    return Ok();
  }));
  const auto started = [&](const VclusterView& view) -> std::optional<Status> {
    if (view.vcluster == nullptr) return Status(Gone());
    if (!view.settled) return std::nullopt;
    if (view.problem.has_value()) return Status(*view.problem);
    bool all = true;
    for (const master::v1::Node& node : view.vcluster->record.nodes()) {
      if (target.index.has_value() && node.index() != *target.index) continue;
      if (!node.wanted()) return Status(Meanwhile("stopped"));
      const auto status = view.states.find(node.index());
      if (status == view.states.end()) return std::nullopt;
      if (status->second.state() == host::v1::BREAKDOWN) {
        return ProblemOf(*view.vcluster, node, status->second);
      }
      all = all && status->second.state() == host::v1::READY;
    }
    return all ? std::optional<Status>(Ok()) : std::nullopt;
  };
  RETURN_IF_ERROR(master_.Await({number}, started, {}, CancelToken()));
  return View(master_.Find(number), /*with_usage=*/false);
}

Result<ClusterView> Clusters::Stop(uid_t caller, const std::string& text,
                                   std::chrono::milliseconds grace) {
  ASSIGN_OR_RETURN(const Target target, FindTarget(caller, text));
  const uint32_t number = target.view.vcluster->record.number();
  RETURN_IF_ERROR(master_.Change({number}, [&](master::v1::Vcluster* record) -> Status {
    if (record->phase() != master::v1::LIVE) {
      return Error(Code::kFailedPrecondition, "Vcluster " + record->name() + " is not ready");
    }
    for (master::v1::Node& node : *record->mutable_nodes()) {
      if (target.index.has_value() && node.index() != *target.index) continue;
      node.set_wanted(false);
      node.set_stop_grace_ms(static_cast<uint32_t>(grace.count()));
    }
    return Ok();
  }));
  const auto stopped = [&](const VclusterView& view) -> std::optional<Status> {
    if (view.vcluster == nullptr) return Status(Gone());
    if (!view.settled) return std::nullopt;
    if (view.problem.has_value()) return Status(*view.problem);
    for (const master::v1::Node& node : view.vcluster->record.nodes()) {
      if (target.index.has_value() && node.index() != *target.index) continue;
      if (node.wanted()) return Status(Meanwhile("started"));
      const auto status = view.states.find(node.index());
      if (status == view.states.end()) return std::nullopt;
      if (status->second.state() == host::v1::STOPPED) continue;
      if (status->second.problem().empty()) return std::nullopt;
      return ProblemOf(*view.vcluster, node, status->second);
    }
    return Ok();
  };
  RETURN_IF_ERROR(master_.Await({number}, stopped, {}, CancelToken()));
  return View(master_.Find(number), /*with_usage=*/false);
}

Result<ClusterView> Clusters::Resize(uid_t caller, const std::string& text, uint64_t disk_bytes) {
  ASSIGN_OR_RETURN(const Target target, FindTarget(caller, text));
  const Vcluster& vcluster = *target.view.vcluster;
  for (const master::v1::Node& node : vcluster.record.nodes()) {
    if (target.index.has_value() && node.index() != *target.index) continue;
    const std::string name = "node " + vcluster.record.name() + "/" + vcluster.NodeName(node);
    HostLink* const link = master_.LinkTo(node.host());
    if (link == nullptr) return Error(Code::kUnavailable, name + ": its host is not there");
    RETURN_IF_ERROR(link->Resize(vcluster.record.number(), node.index(), disk_bytes), name);
    RETURN_IF_ERROR(master_.Change({vcluster.record.number()}, [&](master::v1::Vcluster* record) {
      for (master::v1::Node& resized : *record->mutable_nodes()) {
        if (resized.index() == node.index()) resized.set_disk_bytes(disk_bytes);
      }
      return Ok();
    }));
  }
  return View(master_.Find(vcluster.record.number()), /*with_usage=*/true);
}

}  // namespace strata::vcluster
