// Operations on whole Vclusters: create, clone, start, stop, delete.
#include <algorithm>

#include "common/log.h"
#include "net/subnets.h"
#include "vclusterd/definition/format_file.h"
#include "vclusterd/master/clusters.h"
#include "vclusterd/master/verdicts.h"

namespace strata::vcluster {
namespace {

constexpr uint32_t kClonesMax = 1000;

std::vector<uint32_t> NumbersOf(const std::vector<VclusterPtr>& vclusters) {
  std::vector<uint32_t> numbers;
  for (const VclusterPtr& vcluster : vclusters) numbers.push_back(vcluster->record.number());
  return numbers;
}

}  // namespace

Result<ClusterView> Clusters::Create(const Caller& caller, const Definition& definition,
                                     const std::string& driver, const ProgressFn& progress,
                                     const CancelToken& cancel, bool preempts) {
  RETURN_IF_ERROR(CheckDefinition(definition));
  const Target target = TargetOf(caller.uid, definition.name);
  if (preempts) RETURN_IF_ERROR(users_.Authorize(caller, Operation::kVclusterPreempt, target));
  return users_.Perform(caller, Operation::kVclusterCreate, target,
                        preempts ? "others stop for it" : "", [&]() -> Result<ClusterView> {
                          RETURN_IF_ERROR(master_.CheckVolumes(definition));
                          ASSIGN_OR_RETURN(
                              master::v1::Vcluster record,
                              NewVcluster(definition, caller.uid, master_.NowUnixMs()));
                          for (master::v1::Node& node : *record.mutable_nodes())
                            node.set_driver(driver);
                          ASSIGN_OR_RETURN(const std::vector<VclusterPtr> made,
                                           Launch({record}, progress, cancel, preempts));
                          return View(master_.Find(made[0]->record.number()), /*with_usage=*/false);
                        });
}

Result<std::vector<ClusterView>> Clusters::Clone(const Caller& caller,
                                                 const CloneParameters& parameters,
                                                 const ProgressFn& progress,
                                                 const CancelToken& cancel) {
  if (parameters.count == 0 || parameters.count > kClonesMax) {
    return Error(Code::kInvalidArgument,
                 "the number of clones must be 1 to " + std::to_string(kClonesMax));
  }
  ASSIGN_OR_RETURN(const Found source, Find(caller, Operation::kVclusterClone, parameters.source));
  return users_.Perform(
      caller, Operation::kVclusterClone, source.target, std::to_string(parameters.count),
      [&] { return CloneFound(caller.uid, *source.view.vcluster, parameters, progress, cancel); });
}

Result<std::vector<ClusterView>> Clusters::CloneFound(uint32_t owner_uid, const Vcluster& pattern,
                                                      const CloneParameters& parameters,
                                                      const ProgressFn& progress,
                                                      const CancelToken& cancel) {
  RETURN_IF_ERROR(CheckLive(pattern.record));
  const std::string prefix =
      parameters.prefix.empty() ? pattern.record.name() + "-" : parameters.prefix;
  Definition definition = pattern.definition;
  if (!parameters.image.empty()) {
    for (Role& role : definition.roles) role.image = parameters.image;
  }
  for (Role& role : definition.roles) {
    // A port of the host leads to one of them only; the others get free ones.
    for (PortForward& port : role.ports) port.host_port = 0;
  }
  RETURN_IF_ERROR(master_.CheckVolumes(definition));
  std::vector<master::v1::Vcluster> records;
  for (uint32_t i = 1; i <= parameters.count; ++i) {
    definition.name = prefix + std::to_string(i);
    RETURN_IF_ERROR(CheckClusterName(definition.name));
    ASSIGN_OR_RETURN(master::v1::Vcluster record,
                     NewVcluster(definition, owner_uid, master_.NowUnixMs()));
    for (int n = 0; n < record.nodes_size() && n < pattern.record.nodes_size(); ++n) {
      const master::v1::Node& from = pattern.record.nodes(n);
      record.mutable_nodes(n)->set_driver(from.driver());
      if (from.has_disk_bytes()) record.mutable_nodes(n)->set_disk_bytes(from.disk_bytes());
    }
    *record.mutable_grants() = pattern.record.grants();
    record.set_cloned_from(TargetOf(pattern.record.owner_uid(), pattern.record.name()).name);
    records.push_back(std::move(record));
  }
  return LaunchAndView(std::move(records), progress, cancel);
}

Result<std::vector<ClusterView>> Clusters::Make(const Caller& caller, const std::string& what,
                                                std::vector<master::v1::Vcluster> records,
                                                const ProgressFn& progress,
                                                const CancelToken& cancel) {
  return users_.Perform(caller, Operation::kVclusterCreate, TargetOf(caller.uid, records[0].name()),
                        what, [&] { return LaunchAndView(std::move(records), progress, cancel); });
}

Result<std::vector<ClusterView>> Clusters::LaunchAndView(std::vector<master::v1::Vcluster> records,
                                                         const ProgressFn& progress,
                                                         const CancelToken& cancel) {
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
                                                  const CancelToken& cancel, bool preempts) {
  uint32_t total = 0;
  for (const master::v1::Vcluster& record : records) {
    total += static_cast<uint32_t>(record.nodes_size());
  }
  progress("network", 0, total);
  ASSIGN_OR_RETURN(const std::vector<VclusterPtr> made, master_.Add(std::move(records)));
  const std::vector<uint32_t> numbers = NumbersOf(made);
  if (preempts) {
    // Where that is not needed, or does not help, the wait says how it ends.
    for (const uint32_t number : numbers) (void)master_.Preempt(number, std::nullopt, false);
  }
  Status launched = master_.Await(
      numbers, AsWanted,
      [&] {
        uint32_t ready = 0;
        for (const uint32_t number : numbers) ready += CountAsWanted(master_.Find(number));
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
  master_.Abandon(numbers);
  if (Status removed = Remove(numbers, /*force=*/false, CancelToken()); !removed.ok()) {
    LOG_ERROR("what was begun is removed as soon as that is possible: " +
              removed.error().message());
  }
  return launched.error();
}

Status Clusters::Remove(const std::vector<uint32_t>& numbers, bool force,
                        const CancelToken& cancel) {
  for (const uint32_t number : numbers) {
    Status changed = master_.Change({number}, [&](master::v1::Vcluster* record) {
      record->set_phase(master::v1::DELETING);
      if (force) record->set_force_removal(true);
      return Ok();
    });
    if (!changed.ok() && changed.error().code() != Code::kNotFound) return changed;
  }
  return master_.Await(numbers, IsGone, {}, cancel);
}

Status Clusters::Delete(const Caller& caller, const std::string& name, const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const Found found, Find(caller, Operation::kVclusterDelete, name));
  if (found.index.has_value()) {
    return Error(Code::kInvalidArgument, "a Vcluster is deleted as a whole, not one node of it");
  }
  return users_.Perform(caller, Operation::kVclusterDelete, found.target, "",
                        [&] { return Remove({found.number()}, /*force=*/false, cancel); });
}

Status Clusters::DeleteAll(bool force) {
  std::vector<uint32_t> numbers;
  for (const VclusterView& view : master_.All()) numbers.push_back(view.vcluster->record.number());
  return Remove(numbers, force, CancelToken());
}

// Those that were meant and that their hosts have no room for; the others start.
Status Clusters::CheckReturned(const Found& found) {
  const VclusterView now = master_.Find(found.number());
  if (now.vcluster == nullptr) return Ok();
  for (const master::v1::Node& node : now.vcluster->record.nodes()) {
    if (!node.preempted() || (found.index.has_value() && node.index() != *found.index)) continue;
    return Error(Code::kResourceExhausted, now.vcluster->record.last_problem());
  }
  return Ok();
}

Result<ClusterView> Clusters::Start(const Caller& caller, const std::string& text,
                                    const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const Found found, Find(caller, Operation::kVclusterStart, text));
  const auto want = [&](master::v1::Vcluster* record) -> Status {
    RETURN_IF_ERROR(CheckLive(*record));
    if (record->expired()) {
      return Error(Code::kFailedPrecondition, "the time of Vcluster " + record->name() +
                                                  " is over (vcluster extend " + record->name() +
                                                  " 2h)");
    }
    for (master::v1::Node& node : *record->mutable_nodes()) {
      if (found.index.has_value() && node.index() != *found.index) continue;
      node.set_wanted(true);
      const auto state = found.view.states.find(node.index());
      const bool runs =
          state != found.view.states.end() && state->second.state() == host::v1::READY;
      if (!runs) node.set_attempt(node.attempt() + 1);
    }
    return Ok();
  };
  const auto started = [&](const VclusterView& view) { return AllRun(view, found.index); };
  return users_.Perform(caller, Operation::kVclusterStart, found.target, "",
                        [&]() -> Result<ClusterView> {
                          RETURN_IF_ERROR(master_.Change({found.number()}, want));
                          RETURN_IF_ERROR(CheckReturned(found));
                          RETURN_IF_ERROR(master_.Await({found.number()}, started, {}, cancel));
                          return View(master_.Find(found.number()), /*with_usage=*/false);
                        });
}

Result<ClusterView> Clusters::Stop(const Caller& caller, const std::string& text,
                                   std::chrono::milliseconds grace, const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const Found found, Find(caller, Operation::kVclusterStop, text));
  const auto want = [&](master::v1::Vcluster* record) -> Status {
    RETURN_IF_ERROR(CheckLive(*record));
    for (master::v1::Node& node : *record->mutable_nodes()) {
      if (found.index.has_value() && node.index() != *found.index) continue;
      node.set_wanted(false);
      node.set_stop_grace_ms(static_cast<uint32_t>(grace.count()));
    }
    return Ok();
  };
  const auto stopped = [&](const VclusterView& view) { return AllStopped(view, found.index); };
  return users_.Perform(caller, Operation::kVclusterStop, found.target, "",
                        [&]() -> Result<ClusterView> {
                          RETURN_IF_ERROR(master_.Change({found.number()}, want));
                          RETURN_IF_ERROR(master_.Await({found.number()}, stopped, {}, cancel));
                          return View(master_.Find(found.number()), /*with_usage=*/false);
                        });
}

}  // namespace strata::vcluster
