#include "vclusterd/host/node_volumes.h"

#include <algorithm>

#include "common/file_io.h"
#include "common/log.h"
#include "layerfs/upper_lock.h"

namespace strata::vcluster {

using layerfs::VolumeKind;

std::string NodeVolumes::DirectoryOf(VolumeKind kind) const {
  const std::string base = config_.state_dir + "/vclusterd/";
  if (kind == VolumeKind::kNone) return base + "nodes";
  return base + "volumes/" + std::string(layerfs::VolumeKindName(kind));
}

Result<VolumeKind> NodeVolumes::KindFor(uint64_t limit_bytes) const {
  if (limit_bytes == 0) return VolumeKind::kNone;
  RETURN_IF_ERROR(layerfs::CheckVolumeSize(limit_bytes));
  if (config_.kind != VolumeKind::kNone) return config_.kind;
  return Error(Code::kUnsupported,
               "this host has no volumes with limits of disk (layerfs probe says why)");
}

Result<layerfs::VolumeStore*> NodeVolumes::StoreOf(VolumeKind kind) {
  const std::lock_guard lock(mutex_);
  auto& store = stores_[kind];
  if (store == nullptr) {
    const std::string name(layerfs::VolumeKindName(kind));
    ASSIGN_OR_RETURN(
        store,
        layerfs::OpenVolumeStore(kind, {.directory = DirectoryOf(kind),
                                        .mount_dir = config_.run_dir + "/volumes/" + name,
                                        .lvm_pool = config_.lvm_pool,
                                        .lvm_prefix = config_.lvm_prefix}),
        "volumes of kind " + name);
  }
  return store.get();
}

Status NodeVolumes::Recover(const std::set<std::pair<VolumeKind, std::string>>& known,
                            bool keep_unknown) {
  for (const VolumeKind kind : layerfs::AllVolumeKinds()) {
    const bool used =
        std::any_of(known.begin(), known.end(), [&](const auto& at) { return at.first == kind; });
    const bool configured = kind == VolumeKind::kNone || kind == config_.kind;
    if (!used && !configured && !PathExists(DirectoryOf(kind))) continue;
    const auto store = StoreOf(kind);
    if (!store.ok()) {
      if (configured) return store.error();
      // Its nodes cannot start, and say so; the others are none the worse for it.
      LOG_ERROR(store.error().message());
      continue;
    }
    ASSIGN_OR_RETURN(const layerfs::RecoveredVolumes recovered, (*store)->Recover());
    for (const std::string& name : recovered.removed) {
      LOG_INFO("volumes: removed what an interrupted operation left: " + name);
    }
    for (const auto& problem : recovered.problems) LOG_ERROR(problem.message);
    if (keep_unknown) continue;
    ASSIGN_OR_RETURN(const std::vector<std::string> volumes, (*store)->List());
    for (const std::string& id : volumes) {
      if (known.contains({kind, id})) continue;
      LOG_WARNING("volume " + id + " belongs to no Vcluster and is removed");
      RETURN_IF_ERROR(Remove(kind, id));
    }
  }
  return Ok();
}

Status NodeVolumes::Create(VolumeKind kind, const std::string& id, uint64_t limit_bytes) {
  ASSIGN_OR_RETURN(layerfs::VolumeStore* const store, StoreOf(kind));
  return store->Create(id, limit_bytes);
}

Status NodeVolumes::Sync() { return FsyncDirectory(DirectoryOf(VolumeKind::kNone)); }

Result<std::string> NodeVolumes::Activate(VolumeKind kind, const std::string& id) {
  ASSIGN_OR_RETURN(layerfs::VolumeStore* const store, StoreOf(kind));
  return store->Activate(id);
}

Status NodeVolumes::Resize(VolumeKind kind, const std::string& id, uint64_t limit_bytes) {
  if (kind == VolumeKind::kNone) {
    return Error(Code::kFailedPrecondition,
                 "it was made without a limit of disk and cannot get one (make it with --disk)");
  }
  ASSIGN_OR_RETURN(layerfs::VolumeStore* const store, StoreOf(kind));
  return store->Resize(id, limit_bytes);
}

Result<layerfs::VolumeUsage> NodeVolumes::Usage(VolumeKind kind, const std::string& id) {
  ASSIGN_OR_RETURN(layerfs::VolumeStore* const store, StoreOf(kind));
  return store->Usage(id);
}

namespace {

// A layerfs server ends a moment after its root was unmounted, and keeps the volume until then.
Status AwaitServer(layerfs::VolumeStore& store, const std::string& id) {
  const Status away = store.Deactivate(id);
  if (away.ok() || away.error().sys_errno() != EBUSY) return away;
  ASSIGN_OR_RETURN(const std::string path, store.Activate(id));
  RETURN_IF_ERROR(layerfs::WaitUntilUpperFree(path + "/upper"));
  return store.Deactivate(id);
}

}  // namespace

Status NodeVolumes::Deactivate(VolumeKind kind, const std::string& id) {
  ASSIGN_OR_RETURN(layerfs::VolumeStore* const store, StoreOf(kind));
  return AwaitServer(*store, id);
}

Status NodeVolumes::Remove(VolumeKind kind, const std::string& id) {
  ASSIGN_OR_RETURN(layerfs::VolumeStore* const store, StoreOf(kind));
  RETURN_IF_ERROR(AwaitServer(*store, id));
  return store->Remove(id);
}

}  // namespace strata::vcluster
