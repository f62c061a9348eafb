// When the data of volumes are deleted: with their Vcluster, once no host has anything of it; or,
// of a volume that its definition leaves out, once no node has it mounted.
#include <algorithm>

#include "common/log.h"
#include "vclusterd/master/master.h"
#include "vclusterd/master/tables.h"

namespace strata::vcluster {

Status Master::CheckVolumes(const Definition& definition) const {
  return MountsVolumes(definition) ? volumes_->Usable() : Ok();
}

// A directory that cannot be used holds up what needs volumes, and nothing else.
Status Master::ClaimShared() {
  master::v1::Shared record;
  std::optional<Error> problem;
  if (options_.shared.has_value()) {
    ASSIGN_OR_RETURN(const auto known, store_.Get(kLeaderTable, kSharedKey));
    if (known.has_value() && !record.ParseFromString(*known)) {
      return Error(Code::kCorrupt, "the record of the shared directory cannot be read");
    }
    const auto claimed = options_.shared->Claim(record.id());
    if (!claimed.ok()) {
      problem = claimed.error().Wrap("volumes");
      LOG_ERROR(problem->message() + " (then restart vclusterd)");
    } else if (*claimed != record.id()) {
      record.set_id(*claimed);
      RETURN_IF_ERROR(Commit({{kLeaderTable, kSharedKey, record.SerializeAsString()}}));
    }
  }
  volumes_ = std::make_unique<VolumeKeeper>(options_.shared, record.id(), std::move(problem));
  return Ok();
}

void Master::Discarded(uint32_t number, const std::string& directory, const Status& done) {
  const std::lock_guard lock(mutex_);
  const Status read = ReadUncertain();
  const auto found = entries_.find(number);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  entry.discarding.erase(directory);
  for (const Status& step : {read, done}) {
    if (step.ok()) continue;
    LOG_WARNING("Vcluster " + entry.vcluster->record.name() + ": " + step.error().message());
    return;  // The next look tries again.
  }
  master::v1::Vcluster record = entry.vcluster->record;
  if (directory == VolumesDirectory(number, record.created_unix_ms())) {
    entry.volumes_gone = true;
    Touch(number);
    return;
  }
  auto* volumes = record.mutable_volumes();
  const auto gone =
      std::remove_if(volumes->begin(), volumes->end(), [&](const master::v1::Volume& volume) {
        return volume.left() && DirectoryOf(entry.vcluster->record, volume) == directory;
      });
  volumes->erase(gone, volumes->end());
  if (Status stored = Store({std::move(record)}); !stored.ok()) {
    LOG_WARNING("Vcluster " + entry.vcluster->record.name() + ": " + stored.error().message());
  }
}

// Whether all are gone. REQUIRES: no host has anything of the Vcluster.
bool Master::DiscardVolumes(uint32_t number, Entry& entry) {
  const master::v1::Vcluster& record = entry.vcluster->record;
  if (record.volume_ids() == 0 || entry.volumes_gone) return true;
  const std::string directory = VolumesDirectory(number, record.created_unix_ms());
  if (entry.discarding.contains(directory)) return false;
  if (Status usable = volumes_->Usable(); !usable.ok()) {
    entry.problem = usable.error();
    return record.force_removal();
  }
  entry.discarding.insert(directory);
  volumes_->Discard(directory, [this, number, directory](const Status& done) {
    Discarded(number, directory, done);
  });
  return false;
}

// Whether a node may have the directory mounted: it says so, or its host does not know yet that it
// is left.
bool Master::HasOldNodes(const Entry& entry, const std::string& directory) {
  for (const master::v1::Node& node : entry.vcluster->record.nodes()) {
    if (!node.host().empty() && !entry.told.contains(node.host())) return true;
  }
  for (const auto& [host, told] : entry.told) {
    const auto heard = entry.heard.find(host);
    if (told.under_way || told.error.has_value() || heard == entry.heard.end() ||
        heard->second.revision() < told.order.revision()) {
      return true;
    }
    for (const host::v1::NodeOrder& node : told.order.nodes()) {
      for (const host::v1::VolumeMount& volume : node.volumes()) {
        if (volume.directory() == directory) return true;
      }
    }
    for (const host::v1::NodeStatus& node : heard->second.nodes()) {
      // Of a part that a host cannot read, it does not know what is mounted.
      const bool unreadable = node.problem_code() == static_cast<int>(Code::kCorrupt);
      if (unreadable || node.revision() < told.order.revision()) return true;
    }
  }
  for (const auto& [host, status] : entry.heard) {
    for (const host::v1::NodeStatus& node : status.nodes()) {
      const auto& mounted = node.volumes();
      if (std::find(mounted.begin(), mounted.end(), directory) != mounted.end()) return true;
    }
  }
  return false;
}

void Master::DiscardLeft(uint32_t number, Entry& entry) {
  const master::v1::Vcluster& record = entry.vcluster->record;
  if (record.phase() == master::v1::DELETING || uncertain_.contains(number) ||
      !volumes_->Usable().ok()) {
    return;
  }
  for (const master::v1::Volume& volume : record.volumes()) {
    const std::string directory = DirectoryOf(record, volume);
    if (!volume.left() || entry.discarding.contains(directory) || HasOldNodes(entry, directory)) {
      continue;
    }
    entry.discarding.insert(directory);
    volumes_->Discard(directory, [this, number, directory](const Status& done) {
      Discarded(number, directory, done);
    });
  }
}

}  // namespace strata::vcluster
