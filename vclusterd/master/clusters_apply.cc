// Changes of what a Vcluster is: apply, scale, extend.
#include "vclusterd/master/clusters.h"
#include "vclusterd/master/reshape.h"
#include "vclusterd/master/verdicts.h"

namespace strata::vcluster {

Result<Clusters::Applied> Clusters::Apply(const Caller& caller, const Definition& definition,
                                          bool dry_run, bool recreate, const ProgressFn& progress,
                                          const CancelToken& cancel) {
  RETURN_IF_ERROR(CheckDefinition(definition));
  // Everybody means his own, root too.
  const VclusterPtr own = master_.Find(caller.uid, definition.name).vcluster;
  const Target target = TargetOf(caller.uid, definition.name);
  Applied applied;
  if (own == nullptr) {
    RETURN_IF_ERROR(users_.Authorize(caller, Operation::kVclusterCreate, target));
    applied.created = true;
    if (dry_run) return applied;
    ASSIGN_OR_RETURN(applied.view, Create(caller, definition, "", progress, cancel));
    return applied;
  }
  if (dry_run) {
    RETURN_IF_ERROR(users_.Authorize(caller, Operation::kVclusterApply, target));
    applied.changes = DiffDefinitions(own->definition, definition);
    return applied;
  }
  const auto as_given = [&](const Definition&) { return definition; };
  return users_.Perform(caller, Operation::kVclusterApply, target, "",
                        [&] { return Become(*own, as_given, recreate, progress, cancel); });
}

Result<Clusters::Applied> Clusters::Become(const Vcluster& before, const Edited& edited,
                                           bool recreate, const ProgressFn& progress,
                                           const CancelToken& cancel) {
  const Definition expected = edited(before.definition);
  RETURN_IF_ERROR(master_.CheckVolumes(expected));
  Applied applied;
  const uint32_t number = before.record.number();
  const auto cpu_use = CpuUseOf(master_.Find(number).states);
  RETURN_IF_ERROR(master_.Change({number}, [&](master::v1::Vcluster* record) -> Status {
    RETURN_IF_ERROR(CheckLive(*record));
    // As it is now, not as it was looked up.
    ASSIGN_OR_RETURN(const VclusterPtr now, ReadVcluster(*record));
    ReshapeOptions options;
    options.recreate = recreate;
    options.now_unix_s = master_.NowUnixMs() / 1000;
    options.cpu_use = cpu_use;
    const Definition definition = edited(now->definition);
    RETURN_IF_ERROR(CheckDefinition(definition));
    applied.changes = DiffDefinitions(now->definition, definition);
    return Reshape(*now, definition, options, record);
  }));
  const auto total = expected.NodeCount();
  RETURN_IF_ERROR(master_.Await(
      {number}, AsWanted, [&] { progress("change", CountAsWanted(master_.Find(number)), total); },
      cancel));
  applied.view = View(master_.Find(number), /*with_usage=*/false);
  return applied;
}

Result<Clusters::Applied> Clusters::Scale(const Caller& caller, const std::string& name,
                                          const std::string& role, uint32_t count,
                                          const ProgressFn& progress, const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const Found source, Find(caller, Operation::kVclusterScale, name));
  const Vcluster& before = *source.view.vcluster;
  const auto scaled = [&](Definition definition) {
    for (Role& one : definition.roles) {
      if (one.name == role) one.count = count;
    }
    return definition;
  };
  if (before.definition.FindRole(role) == nullptr) {
    std::string roles;
    for (const Role& known : before.definition.roles) roles += " " + known.name;
    return Error(Code::kNotFound, "Vcluster " + before.record.name() + " has no role '" +
                                      role.substr(0, kRoleNameSizeMax) + "'; it has:" + roles);
  }
  RETURN_IF_ERROR(CheckDefinition(scaled(before.definition)));
  return users_.Perform(
      caller, Operation::kVclusterScale, source.target, role + "=" + std::to_string(count),
      [&] { return Become(before, scaled, /*recreate=*/false, progress, cancel); });
}

Result<ClusterView> Clusters::Extend(const Caller& caller, const std::string& name,
                                     int64_t for_seconds) {
  ASSIGN_OR_RETURN(const Found found, Find(caller, Operation::kVclusterApply, name));
  const auto extend = [&](master::v1::Vcluster* record) -> Status {
    RETURN_IF_ERROR(CheckLive(*record));
    record->set_expires_unix_s(for_seconds == 0 ? 0 : master_.NowUnixMs() / 1000 + for_seconds);
    record->set_expired(false);
    return Ok();
  };
  return users_.Perform(
      caller, Operation::kVclusterApply, found.target,
      for_seconds == 0 ? "no end" : "ends in " + std::to_string(for_seconds) + " s",
      [&]() -> Result<ClusterView> {
        RETURN_IF_ERROR(master_.Change({found.number()}, extend));
        return View(master_.Find(found.number()), /*with_usage=*/false);
      });
}

}  // namespace strata::vcluster
