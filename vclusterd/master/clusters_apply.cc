// Changes of what a Vcluster is: apply, scale, extend.
#include "common/log.h"
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

Result<Clusters::Applied> Clusters::Change(const Vcluster& before, const Edited& edited,
                                           bool recreate) {
  ASSIGN_OR_RETURN(const Definition expected, edited(before.definition));
  RETURN_IF_ERROR(master_.CheckVolumes(expected));
  Applied applied;
  const uint32_t number = before.record.number();
  const auto cpu_use = CpuUseOf(master_.Find(number).states);
  // Those that nodes get from now on may be of a later change.
  const std::string full_name = TargetOf(before.record.owner_uid(), before.record.name()).vcluster;
  const auto tokens = users_.NodeTokensOf(before.record.owner_uid(), full_name);
  bool scales = false;
  RETURN_IF_ERROR(master_.Change({number}, [&](master::v1::Vcluster* record) -> Status {
    RETURN_IF_ERROR(CheckLive(*record));
    // As it is now, not as it was looked up.
    ASSIGN_OR_RETURN(const VclusterPtr now, ReadVcluster(*record));
    ReshapeOptions options;
    options.recreate = recreate;
    options.now_unix_s = master_.NowUnixMs() / 1000;
    options.cpu_use = cpu_use;
    ASSIGN_OR_RETURN(const Definition definition, edited(now->definition));
    RETURN_IF_ERROR(CheckDefinition(definition));
    applied.changes = DiffDefinitions(now->definition, definition);
    scales = definition.ScalesFromNodes();
    return Reshape(*now, definition, options, record);
  }));
  if (Status revoked = scales ? Ok() : users_.RevokeNodeTokens(tokens); !revoked.ok()) {
    LOG_WARNING("tokens of nodes of " + full_name +
                ", which may do nothing any more: " + revoked.error().message());
  }
  return applied;
}

Result<Clusters::Applied> Clusters::Become(const Vcluster& before, const Edited& edited,
                                           bool recreate, const ProgressFn& progress,
                                           const CancelToken& cancel) {
  const uint32_t number = before.record.number();
  ASSIGN_OR_RETURN(const Definition expected, edited(before.definition));
  ASSIGN_OR_RETURN(Applied applied, Change(before, edited, recreate));
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
  const bool by_node = caller.token != nullptr && caller.token->record.kind() == users::v1::NODE;
  const auto scaled = [&](const Definition& now) {
    return ScaleDefinition(now, {{role, count}}, by_node);
  };
  ASSIGN_OR_RETURN(const Definition expected, scaled(before.definition));
  RETURN_IF_ERROR(CheckDefinition(expected));
  return users_.Perform(caller, Operation::kVclusterScale, source.target,
                        role + "=" + std::to_string(count), [&]() -> Result<Applied> {
                          RETURN_IF_ERROR(CheckNodeToken(caller, before));
                          return Become(before, scaled, /*recreate=*/false, progress, cancel);
                        });
}

Result<ClusterView> Clusters::RotateKeys(const Caller& caller, const std::string& name) {
  ASSIGN_OR_RETURN(const Found found, Find(caller, Operation::kVclusterApply, name));
  const auto rotate = [](master::v1::Vcluster* record) -> Status {
    RETURN_IF_ERROR(CheckLive(*record));
    record->set_ssh_login_seed_before(record->ssh_login_seed());
    record->set_ssh_host_seed_before(record->ssh_host_seed());
    return GiveKeys(record);
  };
  return users_.Perform(caller, Operation::kVclusterApply, found.target, "new ssh keys",
                        [&]() -> Result<ClusterView> {
                          RETURN_IF_ERROR(master_.Change({found.number()}, rotate));
                          return View(master_.Find(found.number()), /*with_usage=*/false);
                        });
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
